// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/overlaymount"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/overlaystore"
)

// defaultTarget is where a printed line mounts unless told otherwise: the
// directory that every system has for a temporary mount (FHS 3.0, /mnt).
const defaultTarget = "/mnt"

func targetFlag() cli.Flag {
	return &cli.StringFlag{Name: "target", Value: defaultTarget, Usage: "let the printed line mount at `DIR`"}
}

func mountCommand() *cli.Command {
	return &cli.Command{
		Name:      "mount",
		Usage:     "mount a pulled image",
		ArgsUsage: "REF [TARGET]",
		Description: `Mounts at TARGET what 'layerctl pull REF' brought into the store; it fetches
nothing. The mount is read-only, unless --rw says otherwise. With --print
nothing is mounted: the line that does it is printed, for TARGET or
` + defaultTarget + `, in one of these forms:

   sh          a command for every POSIX shell, and the mount of util-linux
               and busybox
   json        an object with all that it is made of
   fstab       a line for /etc/fstab
   fstab-helper  the same by mount.layerctl, see below
   systemd     a mount unit; its first line says under which name to save it
   containerd  a list of one mount: type, source, options

--rw keeps what is written in an upper dir in the store, which umount removes,
or in --upper, with --work beside it on the same filesystem, which stay.

--volatile never waits for the disk, at umount neither: writes may be lost or
files damaged in a crash or power cut, and layerctl refuses to use that upper
after the next boot until you have looked at it. Overlayfs marks the work dir
of a volatile mount and refuses it from then on; layerctl removes the mark
where nothing can have been lost.

A mount, printed or done, has the flags nosuid and nodev: without them every
local user who reaches it may become root by a set-user-ID program of the image,
or open its devices. --suid and --dev leave them out, for what you trust or keep
out of others' reach; 'layerctl bundle' does so for its containers.

--option takes ` + strings.Join(overlaymount.OptionNames(), ", ") + `.

--idmap INSIDE:OUTSIDE:SIZE shows the image's owners shifted, 0:100000:65536
user 0 as user 100000, without touching a file: one store for containers with
user namespaces of their own. It takes Linux 5.19 and root; printed for sh also
util-linux 2.39.

--driver fuse-overlayfs mounts by that program, slower and one process a mount;
auto takes it in a user namespace where the kernel does not mount overlayfs
(before Linux 5.11). Before each such mount a trial shows that it hides what
layers delete. What is written to a file that has several names in the image may
be found under another of them later.

mount.layerctl is layerctl under that name: with a link to it in /sbin,

   mount -t layerctl -o store=DIR REF TARGET

and such lines of /etc/fstab do what 'layerctl mount' does, for any number of
layers. fstab prints one where overlayfs's own form cannot be. Options are
store=, upper= and work=, with paths in percent-encoding, volatile, idmap=, and
what --option takes, for busybox's mount in the form option=nosuid, for it keeps
flags to itself; the mount is writable where upper= and work= are.`,
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "print", Usage: "only print the line that mounts"},
			&cli.StringFlag{Name: "format", Usage: "print it as `" + strings.Join(mountFormats(), "|") + "` (implies --print)"},
			&cli.BoolFlag{Name: "once", Usage: "do nothing where this image is mounted at TARGET already"},
			&cli.BoolFlag{Name: "suid", Usage: "let the image's set-user-ID programs have their owner's rights"},
			&cli.BoolFlag{Name: "dev", Usage: "let the image's device files be opened"},
		}, mountFlags()...),
		Action: runMount,
	}
}

func runMount(c *cli.Context) (err error) {
	args, err := setup.Arguments(c, 1, 2, "a REF and a TARGET")
	if err != nil {
		return err
	}
	printing := c.Bool("print") || c.String("format") != ""
	if format := c.String("format"); !slices.Contains(mountFormats(), format) && format != "" {
		return &usageError{Problem: fmt.Sprintf("there is no --format %q", format), Advice: "it is one of " + strings.Join(mountFormats(), ", ")}
	}
	options, err := mountOptions(c)
	if err != nil {
		return err
	}
	if len(args) == 1 && !printing {
		return &usageError{Problem: "mount takes a REF and a TARGET, and got no TARGET", Advice: "with --print it prints the line that mounts"}
	}
	target := defaultTarget
	if len(args) == 2 {
		target = args[1]
	}
	if target, err = mountTarget(target); err != nil {
		return err
	}
	store, err := setup.OpenExisting(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	image, name, err := setup.LookupStored(store, args[0])
	if err != nil {
		return err
	}
	options.Name, options.Target = name, target
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
		return errors.Join(err, mount.Discard(c.Context))
	}
	return nil
}

// isMounted is for mount -a, which may be run again and again.
func isMounted(c *cli.Context, store *overlaystore.Store, image overlaystore.Image, target string) (bool, error) {
	if !c.Bool("once") {
		return false, nil
	}
	there, ok, err := store.MountedAt(c.Context, target)
	return ok && there.Manifest == image.Manifest, err
}

// mountTarget makes the target absolute: the line changes its directory.
func mountTarget(target string) (string, error) {
	if target == "" {
		return "", &usageError{Problem: "the target is empty"}
	}
	return filepath.Abs(target)
}
