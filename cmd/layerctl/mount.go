// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/overlaymount"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/internal/words"
	"github.com/layerctl/layerctl/overlaystore"
)

// defaultTarget is where a mount line mounts by default: the directory that every
// system has for a temporary mount (FHS 3.0, /mnt).
const defaultTarget = "/mnt"

func targetFlag() cli.Flag {
	return &cli.StringFlag{Name: "target", Value: defaultTarget, Usage: "let the mount line mount at `DIR`"}
}

func mountCommand() *cli.Command {
	return &cli.Command{
		Name:      "mount",
		Usage:     "mount a pulled image",
		ArgsUsage: "REF [TARGET]",
		Flags: slices.Concat([]cli.Flag{
			&cli.BoolFlag{Name: "print", Usage: "only print the line that mounts"},
			&cli.StringFlag{Name: "format", Usage: "print it as `" + strings.Join(mountFormats(), "|") + "` (implies --print)"},
			&cli.BoolFlag{Name: "stack", Usage: "mount over an image that is mounted at TARGET"},
			&cli.BoolFlag{Name: "once", Usage: "do nothing where this image is mounted at TARGET already"},
		}, mountFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "suid", Usage: "let the image's set-user-ID programs have their owner's rights"},
			&cli.BoolFlag{Name: "dev", Usage: "let the image's device files be opened"},
		}),
		Action: runMount,
	}
}

func runMount(c *cli.Context) (err error) {
	args, err := setup.Arguments(c, 1, 2, "a REF and a TARGET")
	if err != nil {
		return err
	}
	if format := c.String("format"); !slices.Contains(mountFormats(), format) && format != "" {
		return &usageError{Problem: fmt.Sprintf("there is no --format %q", format), Advice: "it is one of " + words.Or(mountFormats())}
	}
	options, err := mountOptions(c)
	if err != nil {
		return err
	}
	printing := c.Bool("print") || c.String("format") != ""
	target, err := targetArgument(args[1:], printing)
	if err != nil {
		return err
	}
	store, err := setup.OpenExisting(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	image, name, err := setup.Lookup(c, store, args[0])
	if err != nil {
		return err
	}
	defer func() { err = failure.Concerns(args[0], err) }()
	options.Name, options.Platform, options.Target = name, c.String("platform"), target
	if !printing {
		if done, err := isMounted(c, store, image, target); err != nil || done {
			return err
		}
		tellLeftovers(c, store, target)
	}
	mount, err := overlaymount.Assemble(c.Context, store, image, options)
	if err != nil {
		return err
	}
	if printing {
		err = printMount(c, mount, image, name, target)
	} else if err = setup.NeedsNamespace(c); err == nil {
		err = mount.Mount(c.Context, target)
	}
	if err != nil {
		return errors.Join(err, mount.Discard(context.WithoutCancel(c.Context)))
	}
	return nil
}

// isMounted reports whether there is nothing to do: with --once, for mount -a, if the
// image is mounted at target already. Without --stack any other mount of the store at
// target is an error, because a second mount would hide it.
func isMounted(c *cli.Context, store *overlaystore.Store, image overlaystore.Image, target string) (bool, error) {
	there, ok, err := store.MountedAt(c.Context, target)
	switch {
	case err != nil || !ok:
		return false, err
	case c.Bool("once") && there.Manifest == image.Manifest:
		return true, nil
	case c.Bool("stack"):
		return false, nil
	}
	return false, &mountedError{target, "--stack mounts over it"}
}

// mountedError says that an image of the store is mounted at the target.
type mountedError struct{ target, other string }

func (e *mountedError) Error() string {
	return fmt.Sprintf("mount at %q: an image is mounted there already", e.target)
}

// Hint says what to do about that mount.
func (e *mountedError) Hint() string {
	return "'layerctl umount TARGET' undoes that; " + e.other
}

// Unwrap makes the error match ErrBusy.
func (e *mountedError) Unwrap() error { return overlaystore.ErrBusy }

// targetArgument returns the absolute TARGET. Only a mount line has a default.
func targetArgument(args []string, printing bool) (string, error) {
	switch {
	case len(args) == 1:
		return mountTarget(args[0])
	case printing:
		return mountTarget(defaultTarget)
	}
	return "", &usageError{Problem: "mount takes a REF and a TARGET, and got no TARGET", Advice: "with --print it prints the line that mounts"}
}

// mountTarget makes the target absolute, because a mount line changes its directory.
func mountTarget(target string) (string, error) {
	if target == "" {
		return "", &usageError{Problem: "the target is empty"}
	}
	return filepath.Abs(target)
}
