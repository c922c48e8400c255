// SPDX-License-Identifier: Apache-2.0

package copying

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/progress"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/signatures"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/manifest"
	steps "github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/transfer"
)

// CopyCommand returns the command copy.
func CopyCommand() *cli.Command {
	return &cli.Command{
		Name: "copy", Usage: "copy images between registries, layouts and archives", ArgsUsage: "SOURCE DESTINATION",
		Flags: append(setup.TrustFlags(),
			&cli.StringSliceFlag{Name: "platform", Usage: "copy only the image for `OS/ARCH[/VARIANT]` (repeatable: an index of those)"},
			&cli.BoolFlag{Name: "oci", Usage: "make OCI manifests of Docker's: their digests change, configs and layers stay"},
			&cli.BoolFlag{Name: "docker", Usage: "make Docker manifests of OCI's: their digests change, configs and layers stay"},
			&cli.StringFlag{Name: "compress", Usage: "pack layers that are packed in another way as `gzip|zstd`: digests change, diffIDs stay"},
			&cli.BoolFlag{Name: "referrers", Usage: "copy signatures, SBOMs and attestations that refer to the images too"},
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "copy what the lines 'SOURCE DESTINATION' of `LIST` name; - is standard input"},
			&cli.BoolFlag{Name: "dry-run", Usage: "send nothing, and tell what would be sent"},
			&cli.IntFlag{Name: "jobs", DefaultText: "three", Usage: "have `N` blobs on their way at a time"},
		),
		Action: runCopy,
	}
}

func runCopy(c *cli.Context) (err error) {
	o, err := options(c)
	if err != nil {
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
	ro := setup.RegistryOptions(c, logins)
	ro.OnRetry = show.Retry
	policy, err := setup.Policy(c)
	if err != nil {
		return err
	}
	client := registry.New(ro)
	from, err := setup.OpenOrigins(c, ro, named(pairs), o.Platforms)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, from) }()
	o.Open = from.Open
	if pairs, err = expand(c, client, pairs); err != nil {
		return err
	}
	return copyAll(c, client, pairs, show, func(from registry.Reference) (registry.Reference, error) {
		if from.Transport() == registry.Store { // the policy was asked when it was pulled
			return from, nil
		}
		return signatures.Pin(c.Context, ro, policy, from)
	}, o)
}

// copyAll copies each pair, and prints each. If one fails, the next ones are still copied.
func copyAll(c *cli.Context, client *registry.Client, pairs []pair, show progress.Display, admit func(registry.Reference) (registry.Reference, error), o transfer.Options) error {
	var errs []error
	var all []copied
	for _, p := range pairs {
		one, err := copyOne(c, client, p, show, admit, o)
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

// options returns the options of each copy, by the flags.
func options(c *cli.Context) (transfer.Options, error) {
	for _, spec := range c.StringSlice("platform") {
		if err := args.CheckPlatform(spec); err != nil {
			return transfer.Options{}, err
		}
	}
	if err := setup.CheckJobs(c); err != nil {
		return transfer.Options{}, err
	}
	o := transfer.Options{Platforms: c.StringSlice("platform"), Referrers: c.Bool("referrers"), DryRun: c.Bool("dry-run"), Jobs: c.Int("jobs")}
	switch compress := c.String("compress"); compress {
	case "":
	case "gzip":
		o.Compress = manifest.Gzip
	case "zstd":
		o.Compress = manifest.Zstd
	default:
		return o, &args.UsageError{Problem: fmt.Sprintf("there is no --compress %q", compress), Advice: "it is gzip or zstd"}
	}
	switch {
	case c.Bool("oci") && c.Bool("docker"):
		return o, &args.UsageError{Problem: "--oci and --docker exclude each other"}
	case c.Bool("docker") && o.Compress == manifest.Zstd:
		return o, &args.UsageError{Problem: "Docker's manifests have no layers of zstd that all programs know", Advice: "--compress zstd goes with --oci"}
	case o.Referrers && (c.Bool("oci") || c.Bool("docker") || o.Compress != manifest.Uncompressed):
		return o, &args.UsageError{Problem: "what refers to an image names its digest, and a converted image has another", Advice: "copy without --referrers, and sign what was made"}
	case c.Bool("oci"):
		o.Form = manifest.OCI
	case c.Bool("docker"):
		o.Form = manifest.Docker
	}
	return o, nil
}

func copyOne(c *cli.Context, client *registry.Client, p pair, show progress.Display, admit func(registry.Reference) (registry.Reference, error), o transfer.Options) (copied, error) {
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
	o.Progress = func(e steps.Event) { show.Event(p.from, e) }
	done, err := transfer.Copy(c.Context, client, from, to, o)
	show.Finish()
	var form *transfer.FormError
	if errors.As(err, &form) && strings.Contains(form.Type, "zstd") {
		return copied{}, &args.UsageError{Problem: err.Error(), Advice: "--compress gzip packs them as all programs know"}
	}
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

// copied is the output of copy --json for one copy.
type copied struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
	Digest      string `json:"digest"`
	Was         string `json:"was,omitempty"` // the source's digest, if the copy was converted
	DryRun      bool   `json:"dryRun"`
	Manifests   int    `json:"manifests"`
	Referrers   int    `json:"referrers"`
	Blobs       struct {
		Sent    int `json:"sent"`
		Mounted int `json:"mounted"`
		Present int `json:"there"`
	} `json:"blobs"`
	Bytes    int64    `json:"bytes"`
	Warnings []string `json:"warnings"`
}

func result(d transfer.Done, dry bool) copied {
	r := copied{
		Source: d.Source.String(), Destination: d.Destination.String(), Digest: d.Root.Digest.String(), Was: d.Was.Digest.String(), DryRun: dry,
		Manifests: d.Manifests, Referrers: d.Referrers, Bytes: d.Bytes, Warnings: append([]string{}, d.Warnings...),
	}
	r.Blobs.Sent, r.Blobs.Mounted, r.Blobs.Present = d.Sent, d.Mounted, d.Present
	return r
}

// print prints the destination with the digest, and on standard error what was sent.
func (r copied) print(c *cli.Context) error {
	if !c.Bool("quiet") && !c.Bool("json") {
		verb := "sent"
		if r.DryRun {
			verb = "would send"
		}
		terminal.NewConsole(c.App.ErrWriter).Say("%s %s and %s of %s; %d mounted, %d were there", verb,
			terminal.Count(r.Manifests, "manifest"), terminal.Count(r.Blobs.Sent, "blob"), terminal.Bytes(r.Bytes), r.Blobs.Mounted, r.Blobs.Present)
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
