// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/layerctl/layerctl"

// imports is the import table of this repository: package to the packages of
// this module that it may import. Imports go downwards only, never sideways
// within a level, but for the vocabulary of layer; tests may also use
// internal/imagetest, internal/layertest and internal/disktest.
var imports = map[string][]string{
	// level 3
	"cmd/layerctl": {"cmd/layerctl/internal/args", "cmd/layerctl/internal/host", "cmd/layerctl/internal/progress", "cmd/layerctl/internal/setup", "cmd/layerctl/internal/show", "cmd/layerctl/internal/terminal", "", "inspect", "registry", "unpack", "overlaystore", "cache", "archive", "manifest", "platform", "bundle", "internal/cmdline", "internal/userns", "overlaymount", "layer", "errkind", "internal/mounts", "rootfs"},
	// below it: what its subcommands share
	"cmd/layerctl/internal/setup": {
		"progress",
		"cmd/layerctl/internal/args",
		"cmd/layerctl/internal/host",
		"cmd/layerctl/internal/progress",
		"cmd/layerctl/internal/terminal",
		"",
		"registry",
		"unpack",
		"overlaystore",
		"cache",
		"platform",
		"progress",
		"internal/userns",
		"layer",
	},
	// below that: what people write, what is printed, what the host gives
	"cmd/layerctl/internal/args":     {"platform", "archive", "overlaymount", "errkind"},
	"cmd/layerctl/internal/host":     {"", "registry", "unpack", "internal/userns", "overlaymount"},
	"cmd/layerctl/internal/progress": {"", "progress", "registry", "cmd/layerctl/internal/terminal"},
	"cmd/layerctl/internal/show":     {"inspect", "", "registry", "overlaystore", "manifest", "platform", "overlaymount", "layer", "cmd/layerctl/internal/terminal", "rootfs"},
	"cmd/layerctl/internal/terminal": {},
	// level 2: the only place that joins the parts
	"":        {"internal/fsat", "internal/pull", "registry", "unpack", "overlaystore", "cache", "manifest", "platform", "progress", "inspect", "internal/durable", "internal/fetch", "internal/source", "layer", "errkind", "internal/stackview", "internal/stored", "rootfs", "internal/flatten", "archive", "internal/export"},
	"inspect": {"manifest", "platform", "registry", "internal/source"},
	// level 1, on the others of it
	"internal/fetch":  {"registry", "cache", "manifest", "progress", "unpack", "internal/source", "layer"},
	"internal/source": {"cache", "manifest", "platform", "registry", "errkind"},
	// level 1
	"registry":         {"manifest", "internal/shortname", "internal/hosts", "registry/internal/remote", "registry/internal/auth", "registry/internal/local", "registry/internal/transport", "registry/internal/content", "registry/internal/credentials", "registry/internal/failure", "errkind"},
	"unpack":           {"internal/layerxattr", "internal/entryname", "internal/durable", "internal/layerdisk", "internal/layerstream", "internal/layertar", "layer", "errkind", "internal/fsat"},
	"overlaystore":     {"internal/shortname", "manifest", "internal/durable", "internal/journal", "internal/layercheck", "internal/storedirs", "internal/trash", "internal/leases", "internal/shortlink", "internal/mountuse", "internal/spare", "internal/mounts", "internal/probe", "internal/lowerdir", "internal/fixlayer", "layer", "errkind", "internal/fsat"},
	"internal/export":  {"archive", "internal/fetch", "internal/flatten", "internal/scratch", "internal/source", "internal/stackview", "internal/stored", "layer", "manifest", "overlaystore", "progress", "registry", "unpack", "errkind"},
	"internal/flatten": {"internal/durable", "internal/fetch", "internal/fsat", "internal/source", "internal/stackview", "internal/stored", "layer", "manifest", "overlaystore", "progress", "unpack", "errkind"},
	"rootfs":           {"internal/scratch", "internal/stackview", "internal/stored", "layer", "manifest", "overlaystore", "unpack", "errkind"},
	"internal/stored":  {"internal/stackview", "overlaystore"},
	"cache":            {"manifest", "internal/durable", "internal/fsat", "errkind"},
	"archive":          {"layer", "errkind"},
	// parts of registry
	"registry/internal/remote":      {"manifest", "internal/hosts", "registry/internal/auth", "registry/internal/transport", "registry/internal/content", "registry/internal/credentials", "registry/internal/failure"},
	"registry/internal/auth":        {"registry/internal/transport", "registry/internal/credentials", "registry/internal/failure"},
	"registry/internal/local":       {"internal/fsat", "internal/inflate", "internal/layertar", "internal/scratch", "internal/shortname", "registry/internal/content", "registry/internal/failure", "errkind"},
	"registry/internal/transport":   {"internal/hosts", "registry/internal/failure"},
	"registry/internal/content":     {"registry/internal/failure"},
	"registry/internal/credentials": {"internal/durable", "errkind"},
	"registry/internal/failure":     {"errkind"},
	// below level 1
	"internal/layerstream": {"internal/inflate", "internal/spare"},
	"internal/pull":        {"layer", "registry", "internal/fetch", "unpack", "progress", "internal/source", "manifest", "overlaystore"},
	// level 0
	"internal/shortname":  {},
	"errkind":             {},
	"bundle":              {"errkind", "internal/fsat"},
	"manifest":            {"errkind"},
	"platform":            {"errkind"},
	"internal/fsat":       {},
	"progress":            {},
	"internal/cmdline":    {},
	"internal/durable":    {},
	"internal/hosts":      {"errkind"},
	"internal/entryname":  {"layer"},
	"internal/inflate":    {},
	"internal/journal":    {"internal/fsat", "layer", "errkind"},
	"internal/layerdisk":  {"internal/entryname", "internal/fsat"},
	"internal/layerxattr": {"internal/entryname", "internal/layerdisk", "layer"},
	"internal/layertar":   {},
	"internal/scratch":    {},
	"internal/spare":      {},
	"internal/stackview":  {"internal/entryname", "layer", "errkind"},
	"layer":               {},
	"internal/mounts":     {},
	"internal/userns":     {},
	"internal/probe":      {"internal/durable", "internal/mounts", "internal/fsat", "errkind", "layer"},
	"overlaymount":        {"overlaystore", "internal/durable", "internal/mounts", "internal/probe", "internal/fsat", "internal/lowerdir", "errkind", "layer"},
	"internal/layertest":  {"internal/disktest", "internal/mounts", "internal/probe", "layer"},
	"internal/lowerdir":   {"internal/fsat", "layer"},
	"internal/fixlayer":   {"internal/fsat", "internal/journal", "internal/lowerdir", "errkind", "layer"},
	"internal/storedirs":  {"internal/durable", "internal/fsat", "internal/journal", "internal/probe", "errkind", "layer"},
	"internal/mountuse":   {"internal/mounts", "internal/storedirs"},
	"internal/shortlink":  {"internal/durable", "internal/fsat", "internal/storedirs"},
	"internal/leases":     {"internal/durable", "internal/fsat", "internal/journal", "internal/storedirs"},
	"internal/trash":      {"internal/durable", "internal/fsat"},
	"internal/layercheck": {"internal/fsat", "internal/journal", "internal/lowerdir", "layer"},
	"internal/imagetest":  {},
	"internal/disktest":   {},
	// makes testdata/images/hello
	"internal/imagetest/hello": {"internal/imagetest"},
}

// owners are the dependencies that only one package may import.
var owners = map[string]string{
	"github.com/google/go-containerregistry": "only tests",
	"github.com/distribution/reference":      "internal/shortname",
	"github.com/BurntSushi/toml":             "internal/hosts",
	"go.yaml.in/yaml":                        "internal/hosts",
	"github.com/mikelolasagasti/xz":          "registry/internal/local",
	"github.com/containerd/platforms":        "platform",
	"github.com/urfave/cli":                  "cmd/layerctl",
	"github.com/vbauerster/mpb":              "cmd/layerctl/internal/progress",
}

func TestImportsGoDownwards(t *testing.T) {
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || p == "test/consumer" || (strings.HasPrefix(d.Name(), ".") && p != ".")) {
			return fs.SkipDir
		}
		if _, err := os.Stat(filepath.Join(p, "go.mod")); d.IsDir() && err == nil && p != "." {
			return fs.SkipDir // a module of its own
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") {
			return nil
		}
		dir := path.Dir(filepath.ToSlash(p))
		if dir == "." {
			dir = ""
		}
		file, err := parser.ParseFile(fset, p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			checkImport(t, p, dir, imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkImport(t *testing.T, file, dir, imported string) {
	t.Helper()
	test := strings.HasSuffix(file, "_test.go")
	for dep, owner := range owners {
		if strings.HasPrefix(imported, dep) && dir != owner && !strings.HasPrefix(dir, owner+"/") && !test {
			t.Errorf("%s imports %s, which only %s may", file, imported, owner)
		}
	}
	rel, ours := strings.CutPrefix(imported, module)
	if !ours {
		return
	}
	rel = strings.TrimPrefix(rel, "/")
	allowed, known := imports[dir]
	switch {
	case !known:
		t.Errorf("%s: package %q is not in the import table", file, dir)
	case test && dir == "" && rel == "overlaymount": // tests of the whole mount what they pulled
	case test && (rel == "internal/imagetest" || rel == "internal/layertest" || rel == "internal/disktest" || rel == dir):
	case !slices.Contains(allowed, rel):
		t.Errorf("%s imports %q, which %q may not", file, rel, dir)
	}
}
