// SPDX-License-Identifier: Apache-2.0

package layerctl_test

import (
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/layerctl/layerctl"

// floors are the rooms of this repository, the highest first, and what each may
// import of the others: rooms on lower floors only, never one on its own floor
// or above. Tests may also use the rooms that are for tests, and those at the
// root mount what they pulled.
var floors = []map[string][]string{
	{
		"cmd/layerctl": {"", "bundle", "cmd/layerctl/internal/args", "cmd/layerctl/internal/converting", "cmd/layerctl/internal/copying", "cmd/layerctl/internal/diff", "cmd/layerctl/internal/engines", "cmd/layerctl/internal/failure", "cmd/layerctl/internal/help", "cmd/layerctl/internal/host", "cmd/layerctl/internal/indexes", "cmd/layerctl/internal/inspection", "cmd/layerctl/internal/progress", "cmd/layerctl/internal/serving", "cmd/layerctl/internal/setup", "cmd/layerctl/internal/show", "cmd/layerctl/internal/signatures", "cmd/layerctl/internal/syncing", "cmd/layerctl/internal/terminal", "errkind", "internal/cmdline", "internal/mounts", "internal/trusted", "internal/userns", "internal/words", "layer", "manifest", "overlaymount", "overlaystore", "platform", "registry", "rootfs"},
	},
	{
		"cmd/layerctl/internal/serving": {"cache", "cmd/layerctl/internal/args", "cmd/layerctl/internal/setup", "cmd/layerctl/internal/terminal", "errkind", "internal/cacheserver"},
		"cmd/layerctl/internal/syncing": {"", "cmd/layerctl/internal/args", "cmd/layerctl/internal/engines", "cmd/layerctl/internal/failure", "cmd/layerctl/internal/progress", "cmd/layerctl/internal/setup", "cmd/layerctl/internal/terminal", "errkind", "internal/durable", "internal/fsat", "internal/imagelist", "internal/reconcile", "internal/syncreport", "internal/window", "manifest", "overlaystore", "registry", "unpack"},
	},
	{
		"cmd/layerctl/internal/indexes":    {"cmd/layerctl/internal/args", "cmd/layerctl/internal/failure", "cmd/layerctl/internal/progress", "cmd/layerctl/internal/setup", "cmd/layerctl/internal/terminal", "errkind", "internal/durable", "internal/fsat", "manifest", "multiarch", "platform", "progress", "registry", "transfer"},
		"cmd/layerctl/internal/converting": {"cache", "cmd/layerctl/internal/args", "cmd/layerctl/internal/setup", "cmd/layerctl/internal/terminal", "internal/given", "internal/recast", "internal/trusted", "layer", "overlaystore", "registry"},
		"cmd/layerctl/internal/copying":    {"cmd/layerctl/internal/args", "cmd/layerctl/internal/failure", "cmd/layerctl/internal/progress", "cmd/layerctl/internal/setup", "cmd/layerctl/internal/signatures", "cmd/layerctl/internal/terminal", "errkind", "manifest", "progress", "registry", "transfer"},
		"cmd/layerctl/internal/diff":       {"", "cmd/layerctl/internal/args", "cmd/layerctl/internal/setup", "cmd/layerctl/internal/show", "cmd/layerctl/internal/terminal", "errkind", "imagediff", "layer", "platform", "rootfs"},
		"cmd/layerctl/internal/inspection": {"", "cmd/layerctl/internal/args", "cmd/layerctl/internal/setup", "cmd/layerctl/internal/show", "cmd/layerctl/internal/terminal", "inspect", "internal/trusted", "overlaystore", "platform"},
		"cmd/layerctl/internal/engines":    {"", "cmd/layerctl/internal/args", "cmd/layerctl/internal/failure", "cmd/layerctl/internal/setup", "cmd/layerctl/internal/signatures", "cmd/layerctl/internal/terminal", "engine/containerd", "engine/containersstorage", "errkind", "internal/given", "internal/recast", "internal/storageconf", "layer", "overlaymount", "overlaystore", "platform", "registry"},
	},
	{
		"cmd/layerctl/internal/signatures": {"", "cmd/layerctl/internal/args", "cmd/layerctl/internal/failure", "cmd/layerctl/internal/setup", "cmd/layerctl/internal/terminal", "overlaystore", "registry", "trust"},
	},
	{
		"cmd/layerctl/internal/setup": {"", "cache", "cmd/layerctl/internal/args", "cmd/layerctl/internal/failure", "cmd/layerctl/internal/help", "cmd/layerctl/internal/host", "cmd/layerctl/internal/progress", "cmd/layerctl/internal/terminal", "internal/fsat", "internal/userns", "internal/words", "layer", "overlaystore", "platform", "progress", "registry", "transfer", "trust", "unpack"},
	},
	{
		"cmd/layerctl/internal/failure": {"", "cache", "cmd/layerctl/internal/host", "errkind", "inspect", "manifest", "overlaymount", "overlaystore", "platform", "registry", "rootfs", "trust", "unpack"},
	},
	{
		"cmd/layerctl/internal/help": {"internal/cmdline"},
		"cmd/layerctl/internal/host": {"", "internal/erofsfuse", "internal/userns", "overlaymount", "registry", "unpack"},
		"internal/reconcile":         {"", "cache", "errkind", "internal/durable", "internal/fsat", "internal/given", "internal/imagelist", "internal/syncreport", "manifest", "overlaystore", "platform", "registry"},
		"cmd/layerctl/internal/show": {"", "cmd/layerctl/internal/terminal", "inspect", "internal/given", "internal/trusted", "layer", "manifest", "overlaymount", "overlaystore", "platform", "registry", "rootfs"},
	},
	{
		"": {"archive", "cache", "errkind", "inspect", "internal/cacheprune", "internal/durable", "internal/export", "internal/fetch", "internal/flatten", "internal/pull", "internal/source", "internal/stackview", "internal/stored", "internal/trusted", "layer", "manifest", "overlaystore", "platform", "progress", "referrers", "registry", "rootfs", "transfer", "trust", "unpack"},
	},
	{
		"internal/export": {"archive", "internal/fetch", "internal/flatten", "internal/scratch", "internal/source", "internal/stackview", "internal/stored", "layer", "manifest", "overlaystore", "progress", "registry", "unpack"},
	},
	{
		"multiarch":        {"errkind", "internal/source", "manifest", "platform", "registry", "transfer"},
		"internal/flatten": {"errkind", "internal/durable", "internal/fetch", "internal/fsat", "internal/source", "internal/stackview", "internal/stored", "layer", "manifest", "overlaystore", "progress", "unpack"},
		"internal/pull":    {"errkind", "internal/durable", "internal/fetch", "internal/layerrecord", "internal/source", "internal/tarsize", "layer", "manifest", "overlaystore", "progress", "registry", "unpack"},
	},
	{
		"engine/containersstorage": {"errkind", "internal/durable", "internal/fsat", "internal/linkedcopy", "internal/mounts", "internal/storedirs", "layer", "manifest", "overlaystore", "registry", "platform"},
		"imagediff":                {"manifest", "rootfs"},
		"inspect":                  {"errkind", "internal/source", "manifest", "platform", "referrers", "registry"},
		"internal/cacheprune":      {"cache", "internal/fsat", "internal/source", "manifest", "overlaystore", "registry"},
		"transfer":                 {"archive", "cache", "errkind", "internal/layerstream", "internal/scratch", "internal/source", "manifest", "platform", "progress", "referrers", "registry"},
		"internal/trusted":         {"errkind", "internal/durable", "internal/recordfile", "internal/source", "overlaystore", "referrers", "registry", "trust"},
		"internal/fetch":           {"cache", "internal/source", "layer", "manifest", "progress", "unpack"},
	},
	{
		"cmd/layerctl/internal/args":     {"archive", "errkind", "overlaymount", "platform", "registry"},
		"cmd/layerctl/internal/progress": {"cmd/layerctl/internal/terminal", "progress", "registry"},
		"internal/cacheserver":           {"cache", "errkind", "manifest", "registry"},
		"internal/imagelist":             {"errkind", "platform", "registry"},
		"internal/source":                {"cache", "errkind", "manifest", "platform", "registry"},
		"referrers":                      {"errkind", "manifest", "registry"},
		"rootfs":                         {"errkind", "internal/scratch", "internal/stackview", "internal/stored", "layer", "manifest", "overlaystore", "unpack"},
	},
	{
		"trust": {"errkind", "internal/fsat", "internal/shortname", "registry", "trust/internal/keys", "trust/internal/policy", "trust/internal/sigstore"},
	},
	{
		"internal/recast":   {"errkind", "internal/durable", "internal/fsat", "internal/layerrecord", "internal/stagingdir", "internal/storedirs", "layer", "overlaystore", "unpack"},
		"internal/stored":   {"internal/filesum", "internal/stackview", "layer", "overlaystore"},
		"engine/containerd": {"engine/containerd/internal/containers", "engine/containerd/internal/contentwriter", "engine/containerd/internal/failure", "engine/containerd/internal/imagename", "engine/containerd/internal/lease", "engine/containerd/internal/snapshotdir", "errkind", "internal/durable", "internal/fixlayer", "internal/fsat", "internal/given", "internal/layercheck", "internal/linkedcopy", "internal/storedirs", "internal/tarlayer", "layer", "overlaystore"},
		"overlaymount":      {"errkind", "internal/durable", "internal/erofsfuse", "internal/erofsmount", "internal/erofstrial", "internal/fsat", "internal/fsverity", "internal/lowerdir", "internal/mounts", "internal/probe", "internal/quoting", "internal/stagingdir", "internal/storedirs", "internal/words", "layer", "overlaystore"},
		"registry":          {"errkind", "internal/hosts", "internal/shortname", "manifest", "registry/internal/auth", "registry/internal/content", "registry/internal/credentials", "registry/internal/failure", "registry/internal/local", "registry/internal/pushing", "registry/internal/remote", "registry/internal/transport"},
	},
	{
		"internal/layerrecord":      {"layer", "overlaystore", "unpack"},
		"registry/internal/pushing": {"registry/internal/content", "registry/internal/failure", "registry/internal/remote"},
	},
	{
		"overlaystore":             {"errkind", "internal/durable", "internal/fixlayer", "internal/fsat", "internal/fsverity", "internal/imageref", "internal/journal", "internal/layercheck", "internal/leases", "internal/leftovers", "internal/lowerdir", "internal/mounts", "internal/mountuse", "internal/probe", "internal/shortlink", "internal/shortname", "internal/spare", "internal/stagingdir", "internal/storedirs", "internal/tarlayer", "internal/trash", "internal/words", "layer", "manifest", "overlaystore/internal/layerdir", "overlaystore/internal/partial", "overlaystore/internal/sweep", "platform"},
		"registry/internal/remote": {"internal/hosts", "manifest", "registry/internal/auth", "registry/internal/content", "registry/internal/credentials", "registry/internal/failure", "registry/internal/transport"},
		"unpack":                   {"errkind", "internal/durable", "internal/entryname", "internal/filesum", "internal/layerdisk", "internal/layerstream", "internal/layertar", "internal/layerxattr", "layer", "unpack/internal/dirstate", "unpack/internal/saved", "unpack/internal/writing"},
	},
	{
		"unpack/internal/writing":        {"internal/layerstream"},
		"unpack/internal/saved":          {"internal/entryname", "internal/layerstream", "internal/layertar", "layer", "unpack/internal/dirstate"},
		"overlaystore/internal/layerdir": {"internal/durable", "internal/fsat", "internal/journal", "internal/storedirs", "internal/tarlayer", "layer"},
		"overlaystore/internal/partial":  {"internal/spare", "internal/durable", "internal/fsat", "internal/journal", "internal/layercheck", "internal/leftovers", "internal/storedirs", "internal/tarlayer", "layer"},
	},
	{
		"unpack/internal/dirstate": {"internal/entryname", "layer"},
		"internal/imageref":        {"internal/durable", "internal/fsat", "internal/journal", "internal/storedirs", "platform"},
		"internal/linkedcopy":      {"internal/durable", "internal/fsat", "internal/lowerdir", "layer"},
		"internal/layerxattr":      {"internal/entryname", "internal/layerdisk", "layer"},
		"internal/leases":          {"internal/durable", "internal/fsat", "internal/journal", "internal/storedirs"},
		"internal/leftovers":       {"internal/durable", "internal/fsat", "internal/stagingdir", "internal/storedirs", "internal/trash"},
		"internal/mountuse":        {"internal/mounts", "internal/storedirs"},
		"internal/shortlink":       {"internal/durable", "internal/fsat", "internal/storedirs"},
		"internal/erofstrial":      {"internal/durable", "internal/erofs", "internal/erofsfuse", "internal/erofsmount", "internal/fsat", "internal/mounts", "internal/probe", "layer"},
		"internal/tarlayer":        {"internal/durable", "internal/erofs", "internal/fsat", "internal/fsverity", "internal/journal", "internal/layercheck", "internal/sortedview", "internal/storedirs", "layer"},
		"registry/internal/auth":   {"registry/internal/credentials", "registry/internal/failure", "registry/internal/transport"},
		"registry/internal/local":  {"errkind", "internal/fsat", "internal/inflate", "internal/layertar", "internal/scratch", "internal/shortname", "manifest", "registry/internal/content", "registry/internal/failure"},
	},
	{
		"cache":                                  {"errkind", "internal/durable", "internal/fsat", "manifest"},
		"internal/given":                         {"internal/durable", "internal/fsat", "internal/journal", "internal/recordfile"},
		"internal/fsverity":                      {"internal/fsat", "internal/probe"},
		"internal/fixlayer":                      {"errkind", "internal/filesum", "internal/fsat", "internal/journal", "internal/lowerdir", "layer"},
		"internal/layercheck":                    {"internal/filesum", "internal/fsat", "internal/journal", "internal/lowerdir", "layer"},
		"internal/layerdisk":                     {"internal/entryname", "internal/fsat"},
		"internal/layertest":                     {"internal/disktest", "internal/filesum", "internal/mounts", "internal/probe", "layer"},
		"internal/sortedview":                    {"errkind", "internal/scratch", "layer"},
		"internal/stackview":                     {"errkind", "internal/entryname", "layer"},
		"internal/storedirs":                     {"errkind", "internal/durable", "internal/fsat", "internal/journal", "internal/probe", "layer"},
		"engine/containerd/internal/containers":  {"engine/containerd/internal/failure"},
		"engine/containerd/internal/imagename":   {"engine/containerd/internal/failure"},
		"engine/containerd/internal/lease":       {"engine/containerd/internal/failure"},
		"engine/containerd/internal/snapshotdir": {"engine/containerd/internal/failure", "internal/durable", "internal/fsat", "internal/mounts"},
		"registry/internal/content":              {"registry/internal/failure"},
		"registry/internal/credentials":          {"errkind", "internal/durable", "internal/fsat", "registry/internal/failure"},
		"registry/internal/transport":            {"errkind", "internal/hosts", "registry/internal/failure"},
	},
	{
		"archive":                                  {"errkind", "internal/filesum", "layer"},
		"bundle":                                   {"errkind", "internal/fsat"},
		"internal/entryname":                       {"layer"},
		"internal/hosts":                           {"internal/fsat"},
		"internal/imagetest/hello":                 {"internal/imagetest"},
		"internal/registrytest":                    {"internal/imagetest"},
		"internal/erofs":                           {"errkind", "layer"},
		"internal/erofsmount":                      {"internal/fsat", "internal/loopdevice", "internal/mounts"},
		"internal/journal":                         {"errkind", "internal/fsat", "layer"},
		"internal/layerstream":                     {"internal/inflate", "internal/layertar", "internal/spare"},
		"internal/lowerdir":                        {"internal/fsat", "layer"},
		"internal/syncreport":                      {"errkind"},
		"internal/storageconf":                     {"internal/fsat"},
		"internal/scratch":                         {"internal/fsat"},
		"internal/probe":                           {"errkind", "internal/durable", "internal/erofsfuse", "internal/fsat", "internal/mounts", "layer"},
		"internal/recordfile":                      {"internal/durable", "internal/fsat"},
		"engine/containerd/internal/contentwriter": {"errkind"},
		"engine/containerd/internal/failure":       {"errkind"},
		"internal/stagingdir":                      {"internal/durable", "internal/fsat"},
		"internal/trash":                           {"internal/durable", "internal/fsat"},
		"overlaystore/internal/sweep":              {"internal/durable", "internal/fsat"},
		"internal/disktest":                        {"internal/loopdevice"},
		"cmd/layerctl/internal/terminal":           {"internal/words"},
		"manifest":                                 {"errkind"},
		"platform":                                 {"errkind", "internal/words"},
		"registry/internal/failure":                {"errkind"},
		"trust/internal/policy":                    {"internal/fsat", "internal/shortname", "trust/internal/jsontree", "trust/internal/keys"},
		"trust/internal/sigstore":                  {"trust/internal/jsontree", "trust/internal/keys"},
	},
	{
		"internal/erofsfuse": {"internal/mounts", "internal/quoting"},
	},
	{
		"bench/fleet":             {},
		"errkind":                 {},
		"internal/cmdline":        {},
		"internal/loopdevice":     {},
		"internal/quoting":        {},
		"internal/durable":        {},
		"internal/filesum":        {},
		"internal/fsat":           {},
		"internal/imagetest":      {},
		"internal/signtest":       {},
		"internal/schematest":     {},
		"internal/inflate":        {},
		"internal/layertar":       {},
		"internal/mounts":         {},
		"internal/shortname":      {},
		"internal/tarsize":        {},
		"internal/spare":          {},
		"internal/userns":         {},
		"internal/words":          {},
		"internal/window":         {},
		"layer":                   {},
		"progress":                {},
		"trust/internal/jsontree": {},
		"trust/internal/keys":     {},
	},
}

// forTests are the rooms that any test may use.
var forTests = []string{"internal/disktest", "internal/imagetest", "internal/layertest", "internal/registrytest", "internal/schematest", "internal/signtest"}

// besideTested are the rooms that tests in internal/ may use beside the one that they
// test, whose name their file begins with.
var besideTested = []string{"errkind", "internal/durable", "internal/filesum", "internal/fsat", "internal/journal", "internal/mounts", "internal/probe", "layer"}

// owners are the dependencies that only one package may import, or a few.
var owners = map[string]string{
	"github.com/google/go-containerregistry": "only tests",
	"github.com/distribution/reference":      "internal/shortname",
	"github.com/BurntSushi/toml":             "internal/hosts, internal/storageconf",
	"go.yaml.in/yaml":                        "internal/hosts, cmd/layerctl/internal/indexes",
	"github.com/mikelolasagasti/xz":          "registry/internal/local",
	"github.com/containerd/platforms":        "platform",
	"github.com/urfave/cli":                  "cmd/layerctl",
	"github.com/containerd/containerd/api":   "engine/containerd",
	"golang.org/x/crypto":                    "internal/cacheserver",
	"google.golang.org/grpc":                 "engine/containerd",
	"google.golang.org/protobuf":             "engine/containerd",
}

// TestImportsGoDownwards fails for an import that the table does not permit, for
// a permission that leads sideways or up, and for one that nobody uses.
func TestImportsGoDownwards(t *testing.T) {
	t.Parallel()
	table := permissions{allowed: map[string][]string{}, floor: map[string]int{}, used: map[[2]string]bool{}}
	for floor, rooms := range floors {
		for room, allowed := range rooms {
			table.allowed[room], table.floor[room] = allowed, floor
		}
	}
	for room, allowed := range table.allowed {
		for _, other := range allowed {
			if table.floor[other] <= table.floor[room] {
				t.Errorf("the table lets %q import %q, which is not below it", room, other)
			}
		}
	}
	walkImports(t, func(file, dir, imported string) { table.check(t, file, dir, imported) })
	for room, allowed := range table.allowed {
		for _, other := range allowed {
			if !table.used[[2]string{room, other}] {
				t.Errorf("the table lets %q import %q, which it does not", room, other)
			}
		}
	}
}

// walkImports calls use for each import of each file of this module.
func walkImports(t *testing.T, use func(file, dir, imported string)) {
	t.Helper()
	walkSource(t, func(s *parsed) {
		if strings.HasPrefix(s.path, "test/") {
			return // a module of its own
		}
		dir := strings.TrimPrefix(path.Dir(filepath.ToSlash(s.path)), ".")
		for _, spec := range s.file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			use(s.path, dir, imported)
		}
	})
}

// permissions is the table, by room.
type permissions struct {
	allowed map[string][]string
	floor   map[string]int
	used    map[[2]string]bool
}

func (p permissions) check(t *testing.T, file, dir, imported string) {
	t.Helper()
	test := strings.HasSuffix(file, "_test.go")
	for dep, owner := range owners {
		owns := func(owner string) bool { return dir == owner || strings.HasPrefix(dir, owner+"/") }
		if strings.HasPrefix(imported, dep) && !test && !slices.ContainsFunc(strings.Split(owner, ", "), owns) {
			t.Errorf("%s imports %s, which only %s may", file, imported, owner)
		}
	}
	rel, ours := strings.CutPrefix(imported, module)
	if !ours {
		return
	}
	rel = strings.TrimPrefix(rel, "/")
	allowed, known := p.allowed[dir]
	switch {
	case test && dir == "internal" && (strings.HasPrefix(path.Base(filepath.ToSlash(file)), path.Base(rel)+"_") || slices.Contains(besideTested, rel) || slices.Contains(forTests, rel)): // tests of the rooms there, in one program
	case !known:
		t.Errorf("%s: package %q is on no floor", file, dir)
	case slices.Contains(allowed, rel):
		p.used[[2]string{dir, rel}] = true
	case test && dir == "" && (rel == "overlaymount" || rel == "internal/sortedview" || rel == "internal/tarlayer"): // tests of the whole mount what they pulled, and compare views
	case test && dir == "cmd/layerctl" && (rel == "internal/given" || rel == "trust"): // what is printed as JSON, with all that there can be
	case test && dir == "engine/containerd" && (rel == "overlaymount" || rel == "unpack"): // what an engine shows is compared with a mount
	case test && dir == "unpack" && (rel == "overlaymount" || rel == "overlaystore" || rel == "internal/tarlayer"): // tests of unpacking put their layers into both forms of a store
	case test && dir == "trust" && rel == "trust/internal/jsontree": // which has its tests there, in one program
	case test && (slices.Contains(forTests, rel) || rel == dir):
	default:
		t.Errorf("%s imports %q, which %q may not", file, rel, dir)
	}
}
