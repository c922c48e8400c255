// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/bundle"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
)

func bundleCommand() *cli.Command {
	return &cli.Command{
		Name:      "bundle",
		Usage:     "make an OCI runtime bundle of a pulled image",
		ArgsUsage: "REF DIR [-- COMMAND…]",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "read-only", Usage: "let the container write nothing into its root filesystem"},
			&cli.BoolFlag{Name: "volumes", Usage: "mount an empty tmpfs at each of the image's volumes"},
		}, append(mountFlags(), setup.TrustFlags()...)...),
		Action: runBundle,
	}
}

func runBundle(c *cli.Context) (err error) {
	args, err := setup.Arguments(c, 2, -1, "a REF, a DIR and perhaps a command")
	if err != nil {
		return err
	}
	options, err := bundleMountOptions(c)
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
	config, err := imageConfig(c, store, args[0], image)
	if err != nil {
		return err
	}
	if err := setup.NeedsNamespace(c); err != nil {
		return err
	}
	dir, err := bundle.OpenDir(args[1], idMappings(options))
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, dir) }()
	options.Name, options.Target = name, dir.Root
	return fillBundle(c, store, dir, bundled{image, config, args[2:], options, store.Format().IDs == layer.SquashedIDs})
}

// bundleMountOptions returns mountOptions for a container's root filesystem: writable
// unless --read-only is given, and with suid and dev unless nosuid or nodev is given,
// because the runtime decides what its containers may do.
func bundleMountOptions(c *cli.Context) (overlaymount.Options, error) {
	options, err := mountOptions(c)
	if err != nil {
		return options, err
	}
	if c.Bool("read-only") && options.Writable {
		return options, &usageError{Problem: "--read-only and --rw exclude each other"}
	}
	options.Writable = !c.Bool("read-only")
	for flag, guard := range map[string]string{"nosuid": "suid", "nodev": "dev"} {
		if !slices.Contains(options.Options, flag) {
			options.Options = append(options.Options, guard)
		}
	}
	return options, nil
}

// bundled is what a bundle is made of.
type bundled struct {
	image   overlaystore.Image
	config  []byte   // the image's
	args    []string // the command; none is the image's own
	options overlaymount.Options
	oneID   bool // an ordinary user without subordinate ids
}

// fillBundle mounts the image in the bundle and writes its config.json. After an
// error nothing is mounted.
func fillBundle(c *cli.Context, store *overlaystore.Store, dir *bundle.Dir, b bundled) error {
	switch _, there, err := store.MountedAt(c.Context, dir.Root); {
	case err != nil:
		return err
	case there:
		return &mountedError{dir.Root, "another DIR makes a second bundle"}
	}
	mount, err := overlaymount.Assemble(c.Context, store, b.image, b.options)
	if err != nil {
		return err
	}
	if err := mount.Mount(c.Context, dir.Root); err != nil {
		return errors.Join(err, mount.Discard(context.WithoutCancel(c.Context)))
	}
	err = dir.CheckMounted()
	if err == nil {
		err = writeBundle(c, dir, b)
	}
	if err != nil {
		// A signal that ended the bundle must not leave it mounted.
		ctx := context.WithoutCancel(c.Context)
		return errors.Join(err, overlaymount.Unmount(ctx, store, dir.Root, overlaymount.UnmountOptions{}))
	}
	return nil
}

// imageConfig reads the config of a stored image, from the cache or from the image's
// registry. It asks by the image's digest first, because ref may be another image now.
func imageConfig(c *cli.Context, store *overlaystore.Store, ref string, image overlaystore.Image) (config []byte, err error) {
	err = setup.WithClient(c, []string{ref}, func(l *layerctl.Client) (err error) {
		if err := l.JudgeStored(c.Context, store, ref, image); err != nil {
			return err
		}
		if parsed, err := registry.Parse(ref); err == nil && parsed.Transport() == registry.Docker {
			config, err = l.Config(c.Context, parsed.WithDigest(image.Manifest).String())
			if err == nil {
				return nil
			}
		}
		config, err = l.Config(c.Context, ref)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the config of %s: %w", ref, err)
	}
	if got := digest.FromBytes(config); got != image.Config {
		return nil, fmt.Errorf("%s is no longer the image in the store, whose config is %s: pull it again", ref, image.Config)
	}
	return config, nil
}

// idMappings returns the id mappings of the container's user namespace.
func idMappings(o overlaymount.Options) (ids []specs.LinuxIDMapping) {
	for _, m := range o.IDMap {
		ids = append(ids, specs.LinuxIDMapping{ContainerID: m.Inside, HostID: m.Outside, Size: m.Size})
	}
	return ids
}

func writeBundle(c *cli.Context, dir *bundle.Dir, b bundled) error {
	root, closeRoot, err := dir.FS()
	if err != nil {
		return err
	}
	defer closeRoot() //nolint:errcheck // only read
	o := bundle.Options{ReadOnly: !b.options.Writable, Args: b.args, OneID: b.oneID, Volumes: c.Bool("volumes"), IDs: idMappings(b.options)}
	spec, notes, err := bundle.Convert(b.config, root, o)
	if err != nil {
		return err
	}
	for _, note := range notes {
		if !c.Bool("quiet") {
			terminal.NewConsole(c.App.ErrWriter).Warn("%s", note)
		}
	}
	return dir.WriteConfig(spec)
}
