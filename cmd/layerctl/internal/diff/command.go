// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/imagediff"
	"github.com/layerctl/layerctl/rootfs"
)

// ErrDiffer is the error of diff --exit-code if the images differ. The command prints
// nothing for it.
var ErrDiffer = errors.New("the images differ")

// Command returns the command diff.
func Command() *cli.Command {
	return &cli.Command{
		Name: "diff", Usage: "show what differs between two images, or two platforms of one", ArgsUsage: "REF [REF]",
		Flags: append(append(setup.ReadFlags(), setup.TrustFlags()...),
			&cli.StringFlag{Name: "other-platform", Usage: "compare with the image for `PLATFORM` of the second REF, or of the same one"},
			&cli.BoolFlag{Name: "exit-code", Usage: "exit with 1 where files or configs differ"},
			&cli.BoolFlag{Name: "times", Usage: "compare the times of files too"},
			setup.JobsFlag(),
		),
		Action: run,
	}
}

// side is one of the two images.
type side struct {
	ref      string
	platform string // "" is the one of the command, or of this machine
	image    *layerctl.RootFS
	imagediff.Image
}

func run(c *cli.Context) error {
	refs, err := setup.Arguments(c, 1, 2, "two REFs, or one with --other-platform")
	if err != nil {
		return err
	}
	a, b := &side{ref: refs[0]}, &side{ref: refs[len(refs)-1], platform: c.String("other-platform")}
	if len(refs) == 1 && b.platform == "" {
		return &args.UsageError{Problem: "there is one REF and nothing to compare it with", Advice: "name a second one, or --other-platform"}
	}
	if b.platform != "" {
		if err := args.CheckPlatform(b.platform); err != nil {
			return err
		}
	}
	return setup.ReadRootFS(c, []string{a.ref, b.ref}, func(l *layerctl.Client, o layerctl.RootFSOptions) (err error) {
		o.Journals = &rootfs.Journals{}
		for _, s := range []*side{a, b} {
			if err := s.open(c.Context, l, o); err != nil {
				return err
			}
			defer func() { err = setup.Closing(err, s.image) }()
		}
		found, err := imagediff.Compare(a.Image, b.Image, imagediff.Options{Times: c.Bool("times")})
		if err != nil {
			return err
		}
		return tell(c, a, b, found)
	})
}

// open reads the image. If it is in the store, its manifest and config may be neither in
// the cache nor in a registry: then only files are compared.
func (s *side) open(ctx context.Context, l *layerctl.Client, o layerctl.RootFSOptions) (err error) {
	if s.platform != "" {
		l = l.For(s.platform)
	}
	if s.image, err = l.RootFS(ctx, s.ref, o); err != nil {
		return err
	}
	s.Files = s.image.FS
	s.Manifest, s.Config, err = s.image.Image(ctx)
	switch {
	case errors.Is(err, errkind.NotFound):
		return nil
	case err != nil:
		return errors.Join(fmt.Errorf("read the config of %s: %w", s.ref, err), s.image.Close())
	}
	return nil
}

func tell(c *cli.Context, a, b *side, found *imagediff.Result) error {
	if !c.Bool("quiet") {
		for _, s := range []*side{a, b} {
			if s.Config == nil {
				terminal.NewConsole(c.App.ErrWriter).Warn("the config of %s is not at hand: only files are compared", terminal.Escape(s.ref))
			}
		}
	}
	print := text
	if c.Bool("json") {
		print = document
	}
	if err := print(c.App.Writer, a, b, found); err != nil {
		return err
	}
	if c.Bool("exit-code") && !found.Equal() {
		return ErrDiffer
	}
	return nil
}
