// SPDX-License-Identifier: Apache-2.0

package inspection

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/inspect"
)

// Command returns the command inspect.
func Command() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "show what an index or image holds, and what of it fits this machine",
		ArgsUsage: "REF",
		Flags: append(setup.ClaimFlags(),
			&cli.BoolFlag{Name: "layers", Usage: "print a tree: each image with its layers, and attestations"},
			&cli.BoolFlag{Name: "configs", Usage: "print the tree with what configs say too: created, diffIDs"},
			&cli.BoolFlag{Name: "referrers", Usage: "show what belongs to the index and its images: signatures, SBOMs, provenance; --json too"},
			&cli.BoolFlag{Name: "sbom", Usage: "print the SBOM of the chosen image"},
			&cli.BoolFlag{Name: "provenance", Usage: "print how the chosen image was built, as its author says"},
			&cli.StringFlag{Name: "attached", Usage: "print the document of this `DIGEST` that belongs to the image"},
			storedFlag(),
			&cli.BoolFlag{Name: "raw", Usage: "print the exact bytes of the index or manifest"},
			&cli.BoolFlag{Name: "config", Usage: "print the exact bytes of the chosen image's config"},
			&cli.BoolFlag{Name: "digest", Usage: "print the digest of the index or manifest"},
			&cli.BoolFlag{Name: "docker", Usage: "print what 'docker manifest inspect' prints; -v for its long form"},
			&cli.BoolFlag{Name: "manifest-tool", Usage: "print what 'manifest-tool inspect' prints"},
			&cli.StringFlag{Name: "format", Usage: "print the Go `TEMPLATE` over the JSON shape"},
		),
		Action: runInspect,
	}
}

func runInspect(c *cli.Context) error {
	refs, err := setup.Arguments(c, 1, 1, "one REF")
	if err != nil {
		return err
	}
	form, err := formOf(c)
	if err != nil {
		return err
	}
	if c.Bool("stored") {
		return printStored(c, refs[0], form)
	}
	switch form {
	case "raw":
		return printExact(c, refs, func(l *layerctl.Client) (raw []byte, err error) {
			_, raw, err = l.Root(c.Context, refs[0])
			return raw, err
		})
	case "config":
		return printExact(c, refs, func(l *layerctl.Client) ([]byte, error) { return l.Config(c.Context, refs[0]) })
	case "digest":
		return printDigest(c, refs[0])
	case "format":
		return printFormat(c, refs[0])
	case "sbom", "provenance":
		return printAttached(c, refs[0], form)
	case "attached":
		return printAttached(c, refs[0], c.String("attached"))
	}
	if form == "" && !c.Bool("layers") && !c.Bool("configs") && !c.Bool("referrers") {
		return briefly(c, refs[0])
	}
	detail, write := printer(c, refs[0], form)
	found, err := shown(c, refs[0], detail)
	if err != nil {
		return err
	}
	return write(c.App.Writer, found)
}

// briefly prints the table of an index, or a single image. With --platform it prints the
// image for that platform.
func briefly(c *cli.Context, ref string) error {
	if c.String("platform") != "" {
		found, err := quietly(c, ref, inspect.Options{Chosen: true})
		if err == nil && found.Chosen != "" {
			tellWarnings(c, found)
			return show.Chosen(c.App.Writer, found)
		}
		// The fault is shown below, together with what the reference holds.
	}
	found, err := shown(c, ref, inspect.Options{Detail: inspect.Manifests})
	if err != nil {
		return err
	}
	if c.String("platform") != "" {
		return show.Chosen(c.App.Writer, found)
	}
	return show.Inspected(c.App.Writer, found)
}

// printer returns the function that prints a form, and what must be read for that form.
func printer(c *cli.Context, ref, form string) (inspect.Options, func(io.Writer, *inspect.Result) error) {
	manifests := inspect.Options{Detail: inspect.Manifests}
	configs := inspect.Options{Detail: inspect.Configs}
	layers := inspect.Options{Detail: inspect.Manifests, Attestations: true}
	switch form {
	case "docker":
		long := c.Bool("verbose")
		o := inspect.Options{}
		if long {
			o = inspect.Options{Detail: inspect.Manifests, Attestations: true}
		}
		return o, func(w io.Writer, found *inspect.Result) error { return show.Docker(w, ref, found, long) }
	case "manifest-tool":
		return manifests, func(w io.Writer, found *inspect.Result) error { return show.ManifestTool(w, ref, found) }
	case "json":
		configs.Referrers = c.Bool("referrers")
		return configs, show.Inspection
	}
	if c.Bool("referrers") {
		return inspect.Options{Referrers: true}, show.Referrers
	}
	if c.Bool("configs") {
		layers.Detail = inspect.Configs
		return layers, func(w io.Writer, found *inspect.Result) error { return show.Tree(w, found, true) }
	}
	return layers, func(w io.Writer, found *inspect.Result) error { return show.Tree(w, found, false) }
}

// formOf returns the form that a flag asks for; "" means the table or a tree.
func formOf(c *cli.Context) (string, error) {
	var asked []string
	for _, name := range []string{"raw", "config", "digest", "docker", "manifest-tool", "format", "json", "sbom", "provenance", "attached"} {
		if c.IsSet(name) && (name == "format" || name == "attached" || c.Bool(name)) {
			asked = append(asked, name)
		}
	}
	if len(asked) > 1 {
		return "", &args.UsageError{
			Problem: fmt.Sprintf("--%s do not go together", strings.Join(asked, " and --")),
			Advice:  "each is a form of its own: name one",
		}
	}
	return strings.Join(asked, ""), nil
}

// shown inspects the reference and prints the warnings.
func shown(c *cli.Context, ref string, o inspect.Options) (*inspect.Result, error) {
	found, err := quietly(c, ref, o)
	if err != nil {
		return nil, err
	}
	tellWarnings(c, found)
	return found, nil
}

func tellWarnings(c *cli.Context, found *inspect.Result) {
	if c.Bool("quiet") {
		return
	}
	for _, w := range found.Warnings {
		terminal.NewConsole(c.App.ErrWriter).Warn("%s", w)
	}
}

func quietly(c *cli.Context, ref string, o inspect.Options) (found *inspect.Result, err error) {
	err = setup.WithClient(c, []string{ref}, func(l *layerctl.Client) (err error) {
		found, err = l.Inspect(c.Context, ref, o)
		return err
	})
	return found, err
}

func printDigest(c *cli.Context, ref string) error {
	return setup.WithClient(c, []string{ref}, func(l *layerctl.Client) error {
		desc, err := l.Describe(c.Context, ref)
		if err != nil {
			return err
		}
		return terminal.Printf(c.App.Writer, "%s\n", desc.Digest)
	})
}

// printAttached prints one document that belongs to the chosen image.
func printAttached(c *cli.Context, ref, document string) error {
	found, err := shown(c, ref, inspect.Options{Document: document})
	if err != nil {
		return err
	}
	return terminal.WriteDocument(c.App.Writer, found.Attached())
}

func printExact(c *cli.Context, refs []string, read func(*layerctl.Client) ([]byte, error)) error {
	return setup.WithClient(c, refs, func(l *layerctl.Client) error {
		raw, err := read(l)
		if err != nil {
			return err
		}
		return terminal.WriteDocument(c.App.Writer, raw)
	})
}
