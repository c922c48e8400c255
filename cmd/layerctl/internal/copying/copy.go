// SPDX-License-Identifier: Apache-2.0

package copying

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/progress"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/signatures"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	steps "github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/transfer"
)

// CopyCommand copies images as they are.
func CopyCommand() *cli.Command {
	return &cli.Command{
		Name: "copy", Usage: "copy images between registries, layouts and archives", ArgsUsage: "SOURCE DESTINATION",
		Flags: append(setup.TrustFlags(),
			&cli.StringSliceFlag{Name: "platform", Usage: "copy only the image for `OS/ARCH[/VARIANT]` (repeatable: an index of those)"},
			&cli.BoolFlag{Name: "referrers", Usage: "copy signatures, SBOMs and attestations that refer to the images too"},
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "copy what the lines 'SOURCE DESTINATION' of `LIST` name; - is standard input"},
			&cli.BoolFlag{Name: "dry-run", Usage: "send nothing, and tell what would be sent"},
			&cli.IntFlag{Name: "jobs", DefaultText: "three", Usage: "have `N` blobs on their way at a time"},
		),
		Action: runCopy,
	}
}

func runCopy(c *cli.Context) error {
	for _, spec := range c.StringSlice("platform") {
		if err := args.CheckPlatform(spec); err != nil {
			return err
		}
	}
	if err := setup.CheckJobs(c); err != nil {
		return err
	}
	pairs, err := pairs(c)
	if err != nil {
		return err
	}
	logins, err := setup.LoginsFor(c, named(pairs))
	if err != nil {
		return err
	}
	show, err := setup.NewProgress(c)
	if err != nil {
		return err
	}
	o := setup.RegistryOptions(c, logins)
	o.OnRetry = show.Retry
	policy, err := setup.Policy(c)
	if err != nil {
		return err
	}
	client := registry.New(o)
	if pairs, err = expand(c, client, pairs); err != nil {
		return err
	}
	var errs []error
	var all []copied
	for _, p := range pairs {
		admit := func(from registry.Reference) (registry.Reference, error) {
			return signatures.Pin(c.Context, o, policy, from)
		}
		one, err := copyOne(c, client, p, show, admit)
		if err != nil {
			errs = append(errs, failure.Concerns(p.from, err))
			continue
		}
		all = append(all, one)
		if err := one.print(c); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		errs = append(errs, printJSON(c, all))
	}
	return errors.Join(errs...)
}

func copyOne(c *cli.Context, client *registry.Client, p pair, show progress.Display, admit func(registry.Reference) (registry.Reference, error)) (copied, error) {
	from, err := registry.Parse(p.from)
	if err == nil {
		from, err = admit(from)
	}
	if err != nil {
		return copied{}, err
	}
	to, err := registry.Parse(p.to)
	if err != nil {
		return copied{}, err
	}
	done, err := transfer.Copy(c.Context, client, from, to, transfer.Options{
		Platforms: c.StringSlice("platform"), Referrers: c.Bool("referrers"), DryRun: c.Bool("dry-run"), Jobs: c.Int("jobs"),
		Progress: func(e steps.Event) { show.Event(p.from, e) },
	})
	show.Finish()
	if err != nil {
		return copied{}, err
	}
	console := terminal.NewConsole(c.App.ErrWriter)
	for _, w := range done.Warnings {
		if !c.Bool("quiet") {
			console.Warn("%s", w)
		}
	}
	return result(done, c.Bool("dry-run")), nil
}

// copied is what "copy --json" prints.
type copied struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
	Digest      string `json:"digest"`
	DryRun      bool   `json:"dryRun"`
	Manifests   int    `json:"manifests"`
	Referrers   int    `json:"referrers"`
	Blobs       struct {
		Sent    int `json:"sent"`
		Mounted int `json:"mounted"`
		There   int `json:"there"`
	} `json:"blobs"`
	Bytes    int64    `json:"bytes"`
	Warnings []string `json:"warnings"`
}

func result(d transfer.Done, dry bool) copied {
	r := copied{
		Source: d.Source.String(), Destination: d.Destination.String(), Digest: d.Root.Digest.String(), DryRun: dry,
		Manifests: d.Manifests, Referrers: d.Referrers, Bytes: d.Bytes, Warnings: append([]string{}, d.Warnings...),
	}
	r.Blobs.Sent, r.Blobs.Mounted, r.Blobs.There = d.Sent, d.Mounted, d.There
	return r
}

// print writes where the image is now, by its digest, and for people what it
// took.
func (r copied) print(c *cli.Context) error {
	if !c.Bool("quiet") && !c.Bool("json") {
		verb := "sent"
		if r.DryRun {
			verb = "would send"
		}
		terminal.NewConsole(c.App.ErrWriter).Say("%s %s and %s of %s; %d mounted, %d were there", verb,
			terminal.Count(r.Manifests, "manifest"), terminal.Count(r.Blobs.Sent, "blob"), terminal.Bytes(r.Bytes), r.Blobs.Mounted, r.Blobs.There)
	}
	if c.Bool("json") {
		return nil
	}
	ref, err := registry.Parse(r.Destination)
	if err != nil {
		return err
	}
	name := r.Destination
	if ref.Digest() == "" {
		name = fmt.Sprintf("%s@%s", name, r.Digest)
	}
	return terminal.Printf(c.App.Writer, "%s\n", terminal.Escape(name))
}

// printJSON prints one object for one copy, and an array for a list.
func printJSON(c *cli.Context, all []copied) error {
	switch {
	case c.IsSet("file"):
		return terminal.WriteJSON(c.App.Writer, append([]copied{}, all...))
	case len(all) == 1:
		return terminal.WriteJSON(c.App.Writer, all[0])
	}
	return nil
}
