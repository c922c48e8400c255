// SPDX-License-Identifier: Apache-2.0

package converting

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/recast"
	"github.com/layerctl/layerctl/internal/trusted"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// Command returns the command convert, which makes a store of directories from a store
// of tars, or the other way round.
func Command() *cli.Command {
	return &cli.Command{
		Name: "convert", Usage: "make a store beside this one with its layers in the other form, without the network", ArgsUsage: "NEWDIR",
		Flags: append(setup.LimitFlags(),
			&cli.BoolFlag{Name: "keep-blobs", Usage: "take the compressed layers that the cache has into NEWDIR too"},
		),
		Action: run,
	}
}

func run(c *cli.Context) (err error) {
	names, err := setup.Arguments(c, 1, 1, "a NEWDIR")
	if err != nil {
		return err
	}
	from, err := setup.OpenToConvert(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, from) }()
	lower, err := otherForm(c, from)
	if err != nil {
		return err
	}
	if err := apart(from, names[0]); err != nil {
		return err
	}
	to, err := setup.OpenBeside(c, names[0], lower)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, to) }()
	done, err := convert(c, from, to)
	if err != nil {
		return err
	}
	return tell(c, from, to, done)
}

// otherForm returns the form of the new store, the one that the old store does not have.
// It fails if --lower asks for the old one.
func otherForm(c *cli.Context, from *overlaystore.Store) (layer.Lower, error) {
	have, other := layer.Directories, layer.Tars
	if from.Format().Lower == layer.Tars {
		have, other = other, have
	}
	want, err := setup.Lower(c)
	if err == nil && want == have {
		err = &args.UsageError{Problem: fmt.Sprintf("the store at %q keeps layers in the form %s already", from.Path(), have)}
	}
	return other, err
}

// apart fails if the new store would be the old one, or in it.
func apart(from *overlaystore.Store, dir string) error {
	at, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if above, err := filepath.EvalSymlinks(filepath.Dir(at)); err == nil {
		at = filepath.Join(above, filepath.Base(at))
	}
	own, err := from.Dir().Stat()
	if err != nil {
		return err
	}
	for ; ; at = filepath.Dir(at) {
		if st, err := os.Stat(at); err == nil && os.SameFile(st, own) {
			return &args.UsageError{Problem: fmt.Sprintf("%q is in the store at %q", dir, from.Path()), Advice: "name a directory beside it; the store stays as it is"}
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

func convert(c *cli.Context, from, to *overlaystore.Store) (done recast.Converted, err error) {
	o := recast.Options{Unpack: setup.UnpackOptions(c)}
	kept, err := openCache(c, from)
	if err != nil {
		return done, err
	}
	if kept != nil {
		defer func() { err = setup.Closing(err, kept) }()
		o.Blob = blobsOf(kept)
		if err := copyCache(c, kept, from, to); err != nil {
			return done, err
		}
	}
	if err := trusted.Copy(c.Context, from.Dir(), to.Dir()); err != nil {
		return done, err
	}
	if !c.Bool("quiet") {
		console := terminal.NewConsole(c.App.ErrWriter)
		o.Progress = func(layer digest.Digest, number, of int) {
			console.Say("converting %d/%d %s", number, of, terminal.Short(layer))
		}
	}
	return recast.Convert(c.Context, from, to, o)
}

// openCache opens the store's cache. It returns nil if there is none.
func openCache(c *cli.Context, from *overlaystore.Store) (*cache.Cache, error) {
	blobs := filepath.Join(from.Path(), "blobs")
	_, err := os.Lstat(filepath.Join(blobs, "index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return cache.Open(c.Context, blobs)
}

// tell prints the images that the new store has, and warns of layers that it lacks.
func tell(c *cli.Context, from, to *overlaystore.Store, done recast.Converted) error {
	console := terminal.NewConsole(c.App.ErrWriter)
	print := text
	if c.Bool("json") {
		print = document
	}
	if err := print(c.App.Writer, to, done); err != nil {
		return err
	}
	if !c.Bool("quiet") {
		for _, l := range done.Left {
			console.Warn("layer %s of %s is left out: %s", terminal.Short(l.Layer), terminal.Escape(names(l.Refs)), terminal.Escape(l.Err.Error()))
		}
		console.Say("%s in %q, with %s new there; the store at %q is as it was%s",
			terminal.Count(len(done.Images), "image"), to.Path(), terminal.Count(done.Layers, "layer"), from.Path(), held(c, from))
	}
	if len(done.Left) > 0 {
		return &leftError{done.Left, to.Path()}
	}
	return nil
}

// held returns the end of a sentence: which mounts and engines still use the old store.
func held(c *cli.Context, from *overlaystore.Store) string {
	mounts, err := from.Mounts(c.Context)
	records, listErr := given.List(from.Dir())
	if errors.Join(err, listErr) != nil || len(mounts)+len(records) == 0 {
		return ""
	}
	return fmt.Sprintf(", and %s and %s in engines stay with it", terminal.Count(len(mounts), "mount"), terminal.Count(len(records), "image"))
}
