// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/opencontainers/go-digest"
)

// Mount is an image's layers put together, ready to be mounted or to be
// printed as a line for a shell. It needs its store to be open.
type Mount struct {
	store       *overlaystore.Store
	manifest    digest.Digest
	source      string
	ref         string   // a reference to the image in this store, or its digest
	platform    string   // the one by which ref names it, or ""
	paths       []string // of the lower dirs under the store, the topmost first; of an index and its devices
	indexed     bool     // the image is an index over tars
	names       []string // the same as names in l/
	upper, work string   // absolute; "" mounts read-only
	pair        string   // the name in writable/ of upper and work, or ""
	chosen      chosen
	driver      Driver
	volatile    bool
	idmap       []IDMapping
}

// Assemble puts the layers of img together. The error is
// overlaystore.ErrNotFound when a layer or the fix layer is not in the store, an *OptionError for options
// that do not go, and else says what is wrong with the upper and work named.
func Assemble(ctx context.Context, s *overlaystore.Store, img overlaystore.Image, o Options) (*Mount, error) {
	m := &Mount{store: s}
	if err := m.assemble(ctx, img); err != nil {
		return nil, fmt.Errorf("assemble image %s: %w", img.Manifest, err)
	}
	name := o.Name
	if name == "" && len(img.Refs) > 0 {
		name = img.Refs[0]
	}
	m.manifest, m.source, m.ref = img.Manifest, mounts.Source(name, img.Manifest), img.Manifest.String()
	if slices.Contains(img.Refs, name) {
		m.ref, m.platform = name, o.Platform
	}
	err := m.configure(o)
	if err == nil {
		err = m.checkIndex(o)
	}
	if err == nil {
		err = m.chooseDriver(ctx, o.Driver)
	}
	if err == nil && o.Writable {
		err = m.makeWritable(ctx, o)
	}
	if err == nil {
		err = m.sourceIndex()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("assemble image %s: %w", img.Manifest, err), m.Discard(ctx))
	}
	s.Touch(img.Manifest)
	return m, nil
}

// assemble takes what the image is made of.
func (m *Mount) assemble(ctx context.Context, img overlaystore.Image) error {
	if showsTars(m.store, img) {
		return m.assembleIndex(img)
	}
	dirs, err := m.store.LowerDirs(ctx, img)
	for _, d := range dirs {
		m.paths, m.names = append(m.paths, d.Path), append(m.names, d.Link)
	}
	return err
}
