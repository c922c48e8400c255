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

// Mount is an assembled stack of an image's layers, which can be mounted or printed as
// a command for a shell. Its store must stay open.
type Mount struct {
	store       *overlaystore.Store
	manifest    digest.Digest
	source      string
	ref         string   // a reference to the image in this store, or its digest
	platform    string   // the platform by which ref names the image, or ""
	paths       []string // relative to the store: the lower directories, the topmost first, or an index and its devices
	indexed     bool     // the image is an index over tars
	names       []string // the names in l/ of the lower directories
	upper, work string   // absolute; "" mounts read-only
	pair        string   // the name in writable/ of upper and work, or ""
	chosen      chosen
	driver      Driver
	volatile    bool
	idmap       []IDMapping
}

// Assemble assembles the layers of img. With Options.Writable it also makes, or checks,
// the upper and work directories. If the store lacks a layer or the fix layer the error
// is [overlaystore.ErrNotFound]; for an option that is not allowed it is an
// [*OptionError]; otherwise it says what is wrong with the upper or work directory.
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
		err = m.chooseDriver(ctx, o.Driver, o.Writable)
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

// assemble sets the paths of the image's layers.
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
