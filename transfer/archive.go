// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/layerctl/layerctl/archive"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// archive writes an archive, unless that has the image already.
func (c *copier) archive(ctx context.Context, docs []document, to registry.Reference) error {
	if to.Path() == "-" || to.Digest() != "" {
		return errkind.With(errkind.Usage, fmt.Errorf("%s names no file to write", to))
	}
	if same, err := c.archived(ctx, to, docs); same || err != nil {
		return err
	}
	if c.options.Referrers {
		c.warn("an archive has no place for what refers to an image: nothing of that was copied")
	}
	contents, err := c.contents(ctx, docs)
	if err != nil {
		return err
	}
	if to.Transport() == registry.DockerArchive && len(contents.Indexes) > 0 {
		return errkind.With(errkind.Usage, fmt.Errorf("a Docker archive has one image, and %s names several: choose a platform", c.done.Source))
	}
	all := distinct(docs)
	for _, b := range all {
		c.count(b.Descriptor, registry.Sent, nil)
	}
	c.done.Manifests = len(docs)
	if c.options.DryRun {
		return nil
	}
	blobs := &archived{c: c, numbers: map[digest.Digest]int{}, all: all}
	for n, b := range all {
		blobs.numbers[b.Digest] = n + 1
	}
	return writeFile(to.Path(), func(w io.Writer) error {
		if to.Transport() == registry.DockerArchive {
			return archive.WriteDocker(ctx, w, blobs, contents.Images[0], names(c.done.Source, to))
		}
		return archive.WriteOCI(ctx, w, blobs, contents, names(c.done.Source, to))
	})
}

// archived reports whether the file has the very same image already, complete and under
// that name.
func (c *copier) archived(ctx context.Context, to registry.Reference, docs []document) (_ bool, err error) {
	root := docs[len(docs)-1].desc
	had, err := c.client.Open(ctx, to)
	if err != nil {
		return false, nil // no such file, no archive, or no image of that name
	}
	defer func() { err = errors.Join(err, had.Close()) }()
	desc, err := had.Describe(ctx)
	if err != nil || desc.Digest != root.Digest {
		return false, nil
	}
	all := distinct(docs)
	for _, b := range all {
		blob, err := had.Blob(ctx, b.Descriptor)
		if err != nil {
			return false, nil
		}
		if err := blob.Close(); err != nil {
			return false, err
		}
	}
	c.done.Present = len(all)
	return true, nil
}

// contents returns the documents in the form of package archive, with their configs.
func (c *copier) contents(ctx context.Context, docs []document) (archive.Contents, error) {
	root := docs[len(docs)-1]
	contents := archive.Contents{Root: root.desc}
	size := 0
	for _, d := range docs {
		doc := archive.Document{Descriptor: d.desc, Raw: d.raw}
		if d.index {
			contents.Indexes = append([]archive.Document{doc}, contents.Indexes...)
			continue
		}
		config := d.blobs[0]
		raw, err := config.from.Config(ctx, config.Descriptor)
		if err != nil {
			return contents, err
		}
		if size += len(raw); size > source.MaxDocuments {
			return contents, &manifest.BudgetError{Max: source.MaxDocuments}
		}
		contents.Images = append(contents.Images, archive.Image{
			Manifest: doc, Config: archive.Document{Descriptor: config.Descriptor, Raw: raw}, Layers: descriptors(d.blobs[1:]),
		})
	}
	return contents, nil
}

func descriptors(of []blob) (all []ocispec.Descriptor) {
	for _, b := range of {
		all = append(all, b.Descriptor)
	}
	return all
}

// names returns the names of the image in the archive: by the destination's tag, or else
// by the source's name.
func names(from, to registry.Reference) archive.Options {
	o := archive.Options{Tag: tagFor(from, to)}
	named := from
	if strings.ContainsAny(to.Tag(), ":/") { // the destination has a whole name
		if ref, err := registry.Parse(to.Tag()); err == nil && ref.Transport() == registry.Docker {
			named = ref
		}
	}
	if named.Transport() == registry.Docker && named.Tag() != "" {
		o.Name = named.Tagged().String()
	}
	return o
}

// archived has the blobs of an archive that is being written.
type archived struct {
	c       *copier
	all     []blob
	numbers map[digest.Digest]int // the place of each in all, from 1
}

// Blob implements [archive.Blobs].
func (a *archived) Blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	n := a.numbers[desc.Digest]
	e := progress.Event{Kind: progress.LayerMissing, Reference: a.c.done.Source.String(), Layer: desc, Number: n, Of: len(a.all)}
	tell := func(kind progress.Kind, offset int64) {
		if a.c.options.Progress != nil {
			e.Kind, e.Offset = kind, offset
			a.c.options.Progress(e)
		}
	}
	blob, err := a.all[n-1].from.Blob(ctx, desc)
	if err != nil {
		return nil, err
	}
	tell(progress.LayerMissing, 0)
	count := &counted{blob, 0, func(n int64) { tell(progress.LayerProgress, n) }}
	return struct {
		io.Reader
		io.Closer
	}{count, closer(func() error { tell(progress.LayerDone, count.n); return blob.Close() })}, nil
}

type closer func() error

// Close implements io.Closer.
func (c closer) Close() error { return c() }

// writeFile makes or replaces a file by what write writes: it has its name only when it
// is complete and synced.
func writeFile(path string, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.part")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	b := bufio.NewWriterSize(f, 256<<10)
	err = write(b)
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
