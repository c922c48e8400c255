// SPDX-License-Identifier: Apache-2.0

package indexes

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/multiarch"
	"github.com/layerctl/layerctl/registry"
)

func create(c *cli.Context, words []string) (err error) {
	changes := c.Bool("append") || c.IsSet("remove")
	if len(words) < 2 && (len(words) < 1 || !c.IsSet("remove")) {
		return &args.UsageError{Problem: "index create needs a NAME and the images that it lists"}
	}
	if len(words) > 1 && c.IsSet("remove") && !c.Bool("append") {
		return &args.UsageError{Problem: "--remove changes an index, and does not make one", Advice: "--append adds the images to it"}
	}
	name, err := registry.Parse(words[0])
	if err != nil {
		return failure.Concerns(words[0], err)
	}
	l := list{Name: name.String(), Docker: c.Bool("docker"), KeepNested: c.Bool("keep-nested")}
	for _, word := range words[1:] {
		ref, err := registry.Parse(word)
		if err != nil {
			return failure.Concerns(word, err)
		}
		l.Members = append(l.Members, member{Ref: ref.String()})
	}
	if err := l.annotated(words[1:], c.StringSlice("annotate")); err != nil {
		return err
	}
	if l.Annotations, err = keyValues(c.StringSlice("annotation")); err != nil {
		return err
	}
	o := multiarch.Options{}
	if changes {
		o.Base, o.Remove = name, c.StringSlice("remove")
	}
	kept := name.Transport() == registry.Docker && !c.Bool("push") && !c.Bool("dry-run")
	if kept && changes {
		return &args.UsageError{Problem: "an index in a registry is changed at once", Advice: "--push says so"}
	}
	job, err := begin(c, append([]string{words[0]}, words[1:]...))
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, job) }()
	made, err := job.make(&l, o)
	if err != nil {
		return err
	}
	if kept {
		if err := l.keep(c.Context); err != nil {
			return fmt.Errorf("keep the list of %s: %w", name, err)
		}
		return job.print(l, made, "")
	}
	return job.send(l, made, name, nil)
}

// annotated applies the values of --annotate to the members; words are the members as the
// user wrote them.
func (l *list) annotated(words, said []string) error {
	for _, text := range said {
		at := -1
		for i, word := range words {
			if strings.HasPrefix(text, word+":") && (at < 0 || len(word) > len(words[at])) {
				at = i
			}
		}
		if at < 0 {
			return &args.UsageError{Problem: fmt.Sprintf("--annotate %q begins with no image of the index", text), Advice: "it is REF:KEY=VALUE, with REF as it stands behind NAME"}
		}
		if err := l.Members[at].say(strings.TrimPrefix(text, words[at]+":")); err != nil {
			return err
		}
	}
	return nil
}

// sayings splits "os=linux,arch=arm,annotation=K=V" at the commas before a key. Any other
// comma belongs to the value of an annotation.
func sayings(text string) (all []string) {
	for _, one := range strings.Split(text, ",") {
		key, _, _ := strings.Cut(one, "=")
		last := len(all) - 1
		if last >= 0 && strings.HasPrefix(all[last], "annotation=") && !slices.Contains([]string{"os", "arch", "variant", "os-version", "os-features", "annotation"}, key) {
			all[last] += "," + one
			continue
		}
		all = append(all, one)
	}
	return all
}

// say applies "os=linux,arch=arm,variant=v7,annotation=K=V" to the member.
func (m *member) say(text string) error {
	for _, one := range sayings(text) {
		key, value, ok := strings.Cut(one, "=")
		if !ok || value == "" {
			return &args.UsageError{Problem: fmt.Sprintf("--annotate: %q is no KEY=VALUE", one)}
		}
		p := &m.Platform
		switch key {
		case "os":
			p.OS = value
		case "arch":
			p.Architecture = value
		case "variant":
			p.Variant = value
		case "os-version":
			p.OSVersion = value
		case "os-features":
			p.OSFeatures = strings.Split(value, "+")
		case "annotation":
			more, err := keyValues([]string{value})
			if err != nil {
				return err
			}
			if m.Annotations == nil {
				m.Annotations = map[string]string{}
			}
			for k, v := range more {
				m.Annotations[k] = v
			}
		default:
			return &args.UsageError{Problem: fmt.Sprintf("--annotate does not know %q", key), Advice: "it is os, arch, variant, os-version, os-features or annotation"}
		}
	}
	return nil
}

func keyValues(texts []string) (map[string]string, error) {
	var all map[string]string
	for _, text := range texts {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, &args.UsageError{Problem: fmt.Sprintf("%q is no annotation", text), Advice: "it is KEY=VALUE"}
		}
		if all == nil {
			all = map[string]string{}
		}
		all[key] = value
	}
	return all, nil
}

// annotate changes the platform of one image in a list that is kept.
func annotate(c *cli.Context, words []string) error {
	if len(words) != 2 {
		return &args.UsageError{Problem: "index annotate needs a NAME and one image of it"}
	}
	name, err := registry.Parse(words[0])
	if err != nil {
		return failure.Concerns(words[0], err)
	}
	ref, err := registry.Parse(words[1])
	if err != nil {
		return failure.Concerns(words[1], err)
	}
	l, err := load(name.String())
	if err != nil {
		return err
	}
	found := false
	for i := range l.Members {
		if m := &l.Members[i]; m.Ref == ref.String() {
			found = true
			m.take(ocispec.Platform{
				OS: c.String("os"), Architecture: c.String("arch"), Variant: c.String("variant"),
				OSVersion: c.String("os-version"), OSFeatures: c.StringSlice("os-features"),
			})
		}
	}
	if !found {
		return fmt.Errorf("annotate %s: %w", name, &missing{errors.New("it does not list " + ref.String())})
	}
	return l.keep(c.Context)
}

// take replaces the fields of the member's platform that p has.
func (m *member) take(p ocispec.Platform) {
	for _, f := range []struct {
		to   *string
		from string
	}{{&m.Platform.OS, p.OS}, {&m.Platform.Architecture, p.Architecture}, {&m.Platform.Variant, p.Variant}, {&m.Platform.OSVersion, p.OSVersion}} {
		if f.from != "" {
			*f.to = f.from
		}
	}
	if len(p.OSFeatures) > 0 {
		m.Platform.OSFeatures = p.OSFeatures
	}
}
