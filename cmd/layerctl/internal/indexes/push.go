// SPDX-License-Identifier: Apache-2.0

package indexes

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/multiarch"
	"github.com/layerctl/layerctl/registry"
)

// pushList pushes the index of a list that is kept.
func pushList(c *cli.Context, words []string) (err error) {
	if len(words) != 1 {
		return &args.UsageError{Problem: "index push needs the NAME of a list under way", Advice: "or from-args, or from-spec FILE"}
	}
	name, err := registry.Parse(words[0])
	if err != nil {
		return failure.Concerns(words[0], err)
	}
	l, err := load(name.String())
	if err != nil {
		return err
	}
	j, err := begin(c, l.refs())
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, j) }()
	made, err := j.make(&l, multiarch.Options{})
	if err != nil {
		return err
	}
	if err := j.send(l, made, name, nil); err != nil {
		return err
	}
	if c.Bool("purge") && !c.Bool("dry-run") {
		return forget(c.Context, l.Name)
	}
	return nil
}

func (l *list) refs() []string {
	all := []string{l.Name}
	for _, m := range l.Members {
		all = append(all, m.Ref)
	}
	return all
}

// spec is a file of manifest-tool: an index, and the images that it lists.
type spec struct {
	Image       string            `yaml:"image"`
	Tags        []string          `yaml:"tags"`
	Annotations map[string]string `yaml:"annotations"`
	Manifests   []specImage       `yaml:"manifests"`
}

type specImage struct {
	Image    string `yaml:"image"`
	Platform struct {
		OS           string   `yaml:"os"`
		Architecture string   `yaml:"architecture"`
		Variant      string   `yaml:"variant"`
		OSVersion    string   `yaml:"osversion"`
		OSFeatures   []string `yaml:"osfeatures"`
		OSVersion2   string   `yaml:"os.version"`
		OSFeatures2  []string `yaml:"os.features"`
		Features     []string `yaml:"features"` // in old files; ignored
	} `yaml:"platform"`
}

// fromArgs makes a spec of platforms and a template, and pushes it.
func fromArgs(c *cli.Context, words []string) error {
	if len(words) > 0 {
		return &args.UsageError{Problem: fmt.Sprintf("index push from-args takes no argument, such as %q", words[0])}
	}
	for _, needed := range []string{"platforms", "template", "target"} {
		if c.String(needed) == "" {
			return &args.UsageError{Problem: "index push from-args needs --" + needed}
		}
	}
	s := spec{Image: c.String("target"), Tags: commas(c.String("tags"))}
	for _, text := range commas(c.String("platforms")) {
		parts := strings.Split(text, "/")
		if len(parts) != 2 && len(parts) != 3 {
			return &args.UsageError{Problem: fmt.Sprintf("--platforms: %q is no platform", text), Advice: "it is OS/ARCH or OS/ARCH/VARIANT"}
		}
		parts = append(parts, "")
		var one specImage
		one.Platform.OS, one.Platform.Architecture, one.Platform.Variant = parts[0], parts[1], parts[2]
		// With one call, so that inserted words are not replaced again.
		one.Image = strings.NewReplacer("ARCH", parts[1], "OS", parts[0], "VARIANT", parts[2]).Replace(c.String("template"))
		s.Manifests = append(s.Manifests, one)
	}
	return s.push(c)
}

func commas(text string) (all []string) {
	for _, one := range strings.Split(text, ",") {
		if one = strings.TrimSpace(one); one != "" {
			all = append(all, one)
		}
	}
	return all
}

// maxSpec bounds the bytes of a spec's file.
const maxSpec = 1 << 20

func fromSpec(c *cli.Context, words []string) error {
	if len(words) != 1 {
		return &args.UsageError{Problem: "index push from-spec needs one FILE"}
	}
	s, err := readSpec(words[0])
	if err != nil {
		return fmt.Errorf("read %s: %w", words[0], err)
	}
	return s.push(c)
}

func readSpec(name string) (s spec, err error) {
	f, err := os.Open(name)
	if err != nil {
		return s, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxSpec+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return s, err
	}
	if len(raw) > maxSpec {
		return s, &args.UsageError{Problem: fmt.Sprintf("it has more than %d bytes", maxSpec)}
	}
	if err := yaml.Unmarshal(raw, &s); err != nil {
		return s, &args.UsageError{Problem: fmt.Sprintf("it is no YAML as manifest-tool has it: %v", err)}
	}
	if s.Image == "" || len(s.Manifests) == 0 {
		return s, &args.UsageError{Problem: "it names no image or no manifests"}
	}
	return s, nil
}

// push makes the index of a spec and sends it.
func (s spec) push(c *cli.Context) (err error) {
	kind := c.String("type")
	if kind != "docker" && kind != "oci" {
		return &args.UsageError{Problem: fmt.Sprintf("there is no --type %q", kind), Advice: "it is docker or oci"}
	}
	name, err := registry.Parse(s.Image)
	if err != nil {
		return failure.Concerns(s.Image, err)
	}
	l := list{Name: name.String(), Docker: kind == "docker", Annotations: s.Annotations}
	for _, m := range s.Manifests {
		ref, err := registry.Parse(m.Image)
		if err != nil {
			return failure.Concerns(m.Image, err)
		}
		p := ocispec.Platform{OS: m.Platform.OS, Architecture: m.Platform.Architecture, Variant: m.Platform.Variant}
		p.OSVersion = m.Platform.OSVersion + m.Platform.OSVersion2
		p.OSFeatures = append(m.Platform.OSFeatures, m.Platform.OSFeatures2...)
		l.Members = append(l.Members, member{Ref: ref.String(), Platform: p})
	}
	j, err := begin(c, l.refs())
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, j) }()
	j.asTool = true
	made, err := j.make(&l, multiarch.Options{IgnoreMissing: c.Bool("ignore-missing")})
	if err != nil {
		return err
	}
	return j.send(l, made, name, s.Tags)
}
