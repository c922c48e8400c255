// SPDX-License-Identifier: Apache-2.0

package indexes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
)

// Command returns the command index. Its first argument says what it does.
func Command() *cli.Command {
	return &cli.Command{
		Name: "index", Usage: "make, annotate and push indexes of images for many platforms",
		ArgsUsage: "create NAME REF… | annotate NAME REF | push NAME | push from-args | push from-spec FILE",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "push", Usage: "create: send the index and its images at once"},
			&cli.BoolFlag{Name: "append", Usage: "create: add to the index that NAME is"},
			&cli.StringSliceFlag{Name: "remove", Usage: "create: take the entry `PLATFORM|DIGEST` out of the index that NAME is (repeatable)"},
			&cli.StringSliceFlag{Name: "annotate", Usage: "create: say of an image `REF:KEY=VALUE,…` what its config does not: os, arch, variant, os-version, os-features (joined by +), annotation=K=V (repeatable)"},
			&cli.StringSliceFlag{Name: "annotation", Usage: "create: give the index the annotation `K=V` (repeatable)"},
			&cli.BoolFlag{Name: "docker", Usage: "make a Docker manifest list, not an OCI index"},
			&cli.BoolFlag{Name: "keep-nested", Usage: "list indexes as they are instead of what they list"},
			&cli.StringFlag{Name: "os", Usage: "annotate: the image is for `OS`"},
			&cli.StringFlag{Name: "arch", Usage: "annotate: the image is for `ARCH`"},
			&cli.StringFlag{Name: "variant", Usage: "annotate: the image is for `VARIANT` of the architecture"},
			&cli.StringFlag{Name: "os-version", Usage: "annotate: the image is for `VERSION` of the system"},
			&cli.StringSliceFlag{Name: "os-features", Usage: "annotate: the image needs `FEATURE` of the system (repeatable)"},
			&cli.BoolFlag{Name: "purge", Usage: "push: forget the list when it was sent"},
			&cli.StringFlag{Name: "platforms", Usage: "from-args: the images are for `OS/ARCH[/VARIANT],…`"},
			&cli.StringFlag{Name: "template", Usage: "from-args: the images are called `NAME` with OS, ARCH and VARIANT in it"},
			&cli.StringFlag{Name: "target", Usage: "from-args: the index is called `NAME`"},
			&cli.StringFlag{Name: "tags", Usage: "from-args: the index gets `TAG,…` too"},
			&cli.BoolFlag{Name: "ignore-missing", Usage: "from-args, from-spec: leave out images that are not there"},
			&cli.StringFlag{Name: "type", Usage: "from-args, from-spec: make a list of type `docker|oci`", Value: "docker"},
			&cli.BoolFlag{Name: "dry-run", Usage: "make the index and print it, and send nothing"},
		},
		Action: run,
	}
}

// verb is one thing that the command can do, with its flags.
type verb struct {
	do    func(*cli.Context, []string) error
	flags []string
}

func verbs() map[string]verb {
	return map[string]verb{
		"create":         {create, []string{"push", "append", "remove", "annotate", "annotation", "docker", "keep-nested", "dry-run"}},
		"annotate":       {annotate, []string{"os", "arch", "variant", "os-version", "os-features"}},
		"push":           {pushList, []string{"purge", "dry-run"}},
		"push from-args": {fromArgs, []string{"platforms", "template", "target", "tags", "ignore-missing", "type", "dry-run"}},
		"push from-spec": {fromSpec, []string{"ignore-missing", "type", "dry-run"}},
	}
}

func run(c *cli.Context) error {
	words, err := setup.Arguments(c, 1, -1, "create, annotate or push")
	if err != nil {
		return err
	}
	name, rest := words[0], words[1:]
	if len(rest) > 0 && name == "push" && strings.HasPrefix(rest[0], "from-") {
		name, rest = name+" "+rest[0], rest[1:]
	}
	verb, known := verbs()[name]
	if !known {
		return &args.UsageError{Problem: fmt.Sprintf("index does not know %q", name), Advice: "it is create, annotate, push, push from-args or push from-spec"}
	}
	for _, f := range c.Command.Flags {
		flag := f.Names()[0]
		if c.IsSet(flag) && !slices.Contains(verb.flags, flag) && flag != "help" {
			return &args.UsageError{Problem: fmt.Sprintf("--%s is not for index %s", flag, name), Advice: "'layerctl index --help' tells what it is for"}
		}
	}
	return verb.do(c, rest)
}
