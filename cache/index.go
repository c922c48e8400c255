// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/manifest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxIndex bounds the bytes of index.json, which other programs may write, too.
const maxIndex = 16 << 20

// maxObjects bounds the objects in index.json: an empty one takes far more memory than its
// text. A name takes two.
const maxObjects = 100_000

// checkLayout makes the two files of a layout, or checks those that exist.
func (c *Cache) checkLayout(ctx context.Context) error {
	raw, err := c.read(ocispec.ImageLayoutFile)
	if errors.Is(err, fs.ErrNotExist) {
		return c.create(ctx)
	}
	if err != nil {
		return err
	}
	var l ocispec.ImageLayout
	if err := json.Unmarshal(raw, &l); err != nil || !strings.HasPrefix(l.Version, "1.") {
		return fmt.Errorf("%s is not one of an OCI image layout of version 1", ocispec.ImageLayoutFile)
	}
	_, err = c.index()
	return err
}

// create makes a layout in an empty directory. It writes oci-layout last, which makes the
// directory a layout.
func (c *Cache) create(ctx context.Context) error {
	entries, err := os.ReadDir(c.dir.Name())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != "lock" && e.Name() != usersFile && e.Name() != ocispec.ImageIndexFile && !strings.HasPrefix(e.Name(), ".") {
			return fmt.Errorf("the directory is not empty: it holds %q", e.Name())
		}
	}
	if err := c.write(ctx, ocispec.ImageIndexFile, newIndex()); err != nil {
		return err
	}
	return c.write(ctx, ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
}

func newIndex() ocispec.Index {
	return ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{},
	}
}

// Tag gives an index or a manifest a name in index.json, in place of what had the name; with
// "" it is [Cache.Add]. The names of other programs stay. The media type is that of the
// blob's own bytes, which are verified; that of desc is not used.
func (c *Cache) Tag(ctx context.Context, name string, desc ocispec.Descriptor) error {
	if name == "" {
		return c.Add(ctx, desc)
	}
	if _, _, err := c.place(desc); err != nil {
		return fmt.Errorf("tag %q: %w", name, err)
	}
	desc.MediaType = c.mediaType(desc)
	desc.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	return c.change(ctx, func(index *ocispec.Index) {
		index.Manifests = append(slices.DeleteFunc(index.Manifests, named(name)), desc)
	})
}

// Add lists a manifest in index.json without a name, unless it is listed: referrers of an
// image are found there without one.
func (c *Cache) Add(ctx context.Context, desc ocispec.Descriptor) error {
	if _, _, err := c.place(desc); err != nil {
		return fmt.Errorf("list %s: %w", desc.Digest, err)
	}
	desc.MediaType = c.mediaType(desc)
	return c.change(ctx, func(index *ocispec.Index) {
		if !slices.ContainsFunc(index.Manifests, func(d ocispec.Descriptor) bool { return d.Digest == desc.Digest }) {
			index.Manifests = append(index.Manifests, desc)
		}
	})
}

// Untag removes a name, if it exists. The blobs stay.
func (c *Cache) Untag(ctx context.Context, name string) error {
	return c.change(ctx, func(index *ocispec.Index) {
		index.Manifests = slices.DeleteFunc(index.Manifests, named(name))
	})
}

// Lookup returns the descriptor of what has the name. The error is [ErrMiss] if nothing
// has. The media type is "" if the blob is missing.
func (c *Cache) Lookup(name string) (ocispec.Descriptor, error) {
	index, err := c.index()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	i := slices.IndexFunc(index.Manifests, named(name))
	if i < 0 {
		return ocispec.Descriptor{}, fmt.Errorf("tag %q: %w", name, ErrMiss)
	}
	desc := index.Manifests[i]
	if _, _, err := c.place(desc); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("tag %q: %w", name, err)
	}
	desc.MediaType, desc.Annotations = c.mediaType(desc), nil
	return desc, nil
}

// mediaType returns the media type of an index or a manifest by its bytes; "" if the blob
// is missing.
func (c *Cache) mediaType(desc ocispec.Descriptor) string {
	raw, err := c.Bytes(desc, manifest.MaxManifestSize)
	if err != nil {
		return ""
	}
	return manifest.MediaTypeOf(raw)
}

func named(name string) func(ocispec.Descriptor) bool {
	return func(d ocispec.Descriptor) bool { return d.Annotations[ocispec.AnnotationRefName] == name }
}

// change replaces index.json by what edit makes of it.
func (c *Cache) change(ctx context.Context, edit func(*ocispec.Index)) (err error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	index, err := c.index()
	if err != nil {
		return err
	}
	edit(&index)
	return c.write(ctx, ocispec.ImageIndexFile, index)
}

// index reads index.json.
func (c *Cache) index() (ocispec.Index, error) {
	raw, err := c.read(ocispec.ImageIndexFile)
	if errors.Is(err, fs.ErrNotExist) {
		return ocispec.Index{}, c.damaged(errors.New("it is missing"))
	}
	if err != nil {
		return ocispec.Index{}, err
	}
	index := newIndex()
	if n := bytes.Count(raw, []byte("{")); n > maxObjects {
		return ocispec.Index{}, c.damaged(fmt.Errorf("%d objects, limit %d", n, maxObjects))
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return ocispec.Index{}, c.damaged(err)
	}
	return index, nil
}

func (c *Cache) damaged(err error) error {
	return &IndexError{Dir: c.dir.Name(), Err: err}
}

// IndexError says that index.json is missing or cannot be read, so that the names of the
// blobs are lost. It matches [errkind.Mismatch]. If the cache itself wrote a name
// there, a fetch restores it.
type IndexError struct {
	Dir string // the cache's directory
	Err error  // what is wrong with the file
}

func (e *IndexError) Error() string {
	return fmt.Sprintf("%s is damaged: %v", ocispec.ImageIndexFile, e.Err)
}

// Unwrap returns the cause and the kind.
func (e *IndexError) Unwrap() []error { return []error{e.Err, errkind.Mismatch} }

func (c *Cache) read(name string) ([]byte, error) {
	if c.dir == nil {
		return nil, errUnopened
	}
	return fsat.ReadFile(c.dir, name, maxIndex)
}

func (c *Cache) write(ctx context.Context, name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return durable.WriteFile(ctx, c.dir, name, raw, 0o644)
}

// Tagged lists the entries of index.json. The annotation org.opencontainers.image.ref.name
// has an entry's name; entries of [Cache.Add], and of other programs, may have none.
func (c *Cache) Tagged() ([]ocispec.Descriptor, error) {
	index, err := c.index()
	for i, desc := range index.Manifests {
		if _, _, err := c.place(desc); err == nil {
			index.Manifests[i].MediaType = c.mediaType(desc)
		}
	}
	return index.Manifests, err
}
