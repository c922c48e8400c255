// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
)

// maxNested and maxNestedBytes bound the indexes in an index, and their bytes together.
// Real indexes have one or two in them, of some kilobytes each.
const (
	maxNested      = 12
	maxNestedBytes = 8 << 20
)

// Reader reads an index or a manifest and verifies it.
type Reader func(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)

// Index is an index with the indexes in it.
type Index struct {
	*manifest.Index
	Descriptor ocispec.Descriptor
	Entries    []Entry // one for each of Index.Manifests, in their order
}

// Entry is one entry of an index.
type Entry struct {
	Descriptor ocispec.Descriptor
	Nested     *Index // the entry's index; nil if it is none, or could not be read
	Err        error  // why the entry's index could not be read
}

// Leaves yields the entries that are no indexes, also those of nested indexes, in their
// order. The platform of an entry that is an index is not used.
func (x *Index) Leaves() iter.Seq[ocispec.Descriptor] {
	return func(yield func(ocispec.Descriptor) bool) {
		for e := range x.entries() {
			if !manifest.IsIndex(e.Descriptor.MediaType) && !yield(e.Descriptor) {
				return
			}
		}
	}
}

// Indexes yields the index and those nested in it, each before those in itself.
func (x *Index) Indexes() iter.Seq[*Index] {
	return func(yield func(*Index) bool) {
		if !yield(x) {
			return
		}
		for e := range x.entries() {
			if e.Nested != nil && !yield(e.Nested) {
				return
			}
		}
	}
}

// entries yields all entries. An entry that is an index comes before those in it.
func (x *Index) entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) { x.each(yield) }
}

// each calls yield for all entries until it returns false, and then returns false.
func (x *Index) each(yield func(Entry) bool) bool {
	for _, e := range x.Entries {
		if !yield(e) || e.Nested != nil && !e.Nested.each(yield) {
			return false
		}
	}
	return true
}

// Walk parses the index raw, and reads and parses the indexes in it, each once. If one
// of them cannot be read and keep returns true for the error, Walk keeps it as Entry.Err;
// otherwise, and if keep is nil, Walk returns it. Exceeding the bounds of this package is
// always an error of Walk, before the index is read that exceeds them.
func Walk(ctx context.Context, root ocispec.Descriptor, raw []byte, read Reader, keep func(error) bool) (*Index, error) {
	w := walk{read: read, keep: keep, nested: map[digest.Digest]*Index{}}
	return w.parse(ctx, root, raw, 1)
}

// walk is a walk with what it has cost so far.
type walk struct {
	read    Reader
	keep    func(error) bool
	nested  map[digest.Digest]*Index // the nested indexes that were read
	reads   int                      // how many nested indexes were counted
	bytes   int64                    // their bytes
	entries int                      // the entries of all indexes
}

// parse parses one index and walks those in it.
func (w *walk) parse(ctx context.Context, desc ocispec.Descriptor, raw []byte, depth int) (*Index, error) {
	parsed, err := manifest.ParseIndex(raw, desc.MediaType)
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", desc.Digest, err)
	}
	x := &Index{Index: parsed, Descriptor: desc, Entries: make([]Entry, len(parsed.Manifests))}
	if err := w.count(x, depth); err != nil {
		return nil, err
	}
	for n, entry := range parsed.Manifests {
		x.Entries[n].Descriptor = entry
		if !manifest.IsIndex(entry.MediaType) {
			continue
		}
		var over *budgetError
		nested, err := w.descend(ctx, entry, depth+1)
		switch {
		case err == nil:
			x.Entries[n].Nested = nested
		case errors.As(err, &over) || w.keep == nil || !w.keep(err):
			return nil, err
		default:
			x.Entries[n].Err = err
		}
	}
	return x, nil
}

// count counts the entries and the nested indexes of an index, before one is read.
func (w *walk) count(x *Index, depth int) error {
	if err := w.list(x); err != nil {
		return err
	}
	counted := map[digest.Digest]bool{}
	for _, entry := range x.Manifests {
		if !manifest.IsIndex(entry.MediaType) || counted[entry.Digest] || w.nested[entry.Digest] != nil {
			continue
		}
		counted[entry.Digest] = true
		w.reads++
		w.bytes += min(entry.Size, maxNestedBytes+1)
	}
	switch {
	case len(counted) > 0 && depth >= manifest.MaxIndexDepth:
		return overBudget(x, "indexes nest deeper than %d", manifest.MaxIndexDepth)
	case w.reads > maxNested:
		return overBudget(x, "more than %d indexes in it", maxNested)
	case w.bytes > maxNestedBytes:
		return overBudget(x, "the indexes in it have more than %d bytes", maxNestedBytes)
	}
	return nil
}

// list counts the entries of an index.
func (w *walk) list(x *Index) error {
	if w.entries += len(x.Entries); w.entries > manifest.MaxEntries {
		return overBudget(x, "more than %d entries", manifest.MaxEntries)
	}
	return nil
}

// descend reads a nested index, or returns it if it was read before.
func (w *walk) descend(ctx context.Context, desc ocispec.Descriptor, depth int) (*Index, error) {
	if known := w.nested[desc.Digest]; known != nil {
		return known, w.list(known)
	}
	raw, err := w.read(ctx, desc)
	if err != nil {
		return nil, err
	}
	x, err := w.parse(ctx, desc, raw, depth)
	if err == nil {
		w.nested[desc.Digest] = x
	}
	return x, err
}

// budgetError says that an index exceeds the bounds of a walk.
type budgetError struct {
	index digest.Digest
	why   string
}

func overBudget(x *Index, format string, args ...any) error {
	return &budgetError{x.Descriptor.Digest, fmt.Sprintf(format, args...)}
}

func (e *budgetError) Error() string {
	return fmt.Sprintf("index %s: %v: %s; name the image that is wanted by its digest instead", e.index, manifest.ErrMalformed, e.why)
}

func (e *budgetError) Unwrap() error { return manifest.ErrMalformed }
