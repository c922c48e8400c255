// SPDX-License-Identifier: Apache-2.0

package layerctl_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
)

// maxNested are the indexes that may be in an index.
const maxNested = 12

// documentsByDigest answer reads and count them.
type documentsByDigest struct {
	raw   map[digest.Digest][]byte
	reads []digest.Digest
}

func (d *documentsByDigest) read(_ context.Context, desc ocispec.Descriptor) ([]byte, error) {
	d.reads = append(d.reads, desc.Digest)
	raw, ok := d.raw[desc.Digest]
	if !ok {
		return nil, errors.New("no such document")
	}
	return raw, nil
}

func (d *documentsByDigest) index(annotation string, entries ...ocispec.Descriptor) ocispec.Descriptor {
	raw := imagetest.JSON(ocispec.Index{
		MediaType: ocispec.MediaTypeImageIndex, Manifests: append([]ocispec.Descriptor{}, entries...),
		Annotations: map[string]string{"is": annotation},
	})
	raw = []byte(strings.Replace(string(raw), `"schemaVersion":0`, `"schemaVersion":2`, 1))
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	d.raw[desc.Digest] = raw
	return desc
}

func (d *documentsByDigest) nested(n int, annotation string) []ocispec.Descriptor {
	var indexes []ocispec.Descriptor
	for i := range n {
		indexes = append(indexes, d.index(fmt.Sprint(annotation, i)))
	}
	return indexes
}

func (d *documentsByDigest) chain(n int, below ...ocispec.Descriptor) ocispec.Descriptor {
	top := d.index("last", below...)
	for i := range n {
		top = d.index(fmt.Sprint(i), top)
	}
	return top
}

func entry(of string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(of), Size: 1}
}

func TestWalk(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		make    func(*documentsByDigest) ocispec.Descriptor
		reads   int
		refused string // part of the error
	}{
		"no nested index":   {make: func(d *documentsByDigest) ocispec.Descriptor { return d.index("", entry("a")) }},
		"as many as may be": {make: func(d *documentsByDigest) ocispec.Descriptor { return d.index("", d.nested(maxNested, "")...) }, reads: maxNested},
		"one more":          {make: func(d *documentsByDigest) ocispec.Descriptor { return d.index("", d.nested(maxNested+1, "")...) }, refused: "more than 12 indexes"},
		"a thousand":        {make: func(d *documentsByDigest) ocispec.Descriptor { return d.index("", d.nested(1000, "")...) }, refused: "more than 12 indexes"},
		"a chain of two":    {make: func(d *documentsByDigest) ocispec.Descriptor { return d.chain(1, entry("a")) }, reads: 1},
		"a chain of 100":    {make: func(d *documentsByDigest) ocispec.Descriptor { return d.chain(100) }, reads: 1, refused: "deeper than 2"},
		"the same one often": {make: func(d *documentsByDigest) ocispec.Descriptor {
			return d.index("", slices.Repeat(d.nested(1, ""), 500)...)
		}, reads: 1},
		"the same one, with too many entries": {make: func(d *documentsByDigest) ocispec.Descriptor {
			return d.index("", slices.Repeat([]ocispec.Descriptor{d.index("", entry("a"), entry("b"))}, 500)...)
		}, reads: 1, refused: "more than 1000 entries"},
		"too many bytes": {make: func(d *documentsByDigest) ocispec.Descriptor {
			return d.index("", d.nested(3, strings.Repeat("x", 3<<20))...)
		}, refused: "more than 8388608 bytes"},
		"a size that overflows": {make: func(d *documentsByDigest) ocispec.Descriptor {
			nested := d.nested(2, "")
			nested[0].Size, nested[1].Size = 1<<62, 1<<62
			return d.index("", nested...)
		}, refused: "more than 8388608 bytes"},
		"one that names itself": {make: func(d *documentsByDigest) ocispec.Descriptor {
			self := entry("self")
			self.MediaType = ocispec.MediaTypeImageIndex
			d.raw[self.Digest] = d.raw[d.index("", self).Digest]
			return self
		}, reads: 1, refused: "deeper than 2"},
		"one that is not there": {make: func(d *documentsByDigest) ocispec.Descriptor {
			absent := entry("absent")
			absent.MediaType = ocispec.MediaTypeImageIndex
			return d.index("", absent)
		}, reads: 1, refused: "no such document"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := &documentsByDigest{raw: map[digest.Digest][]byte{}}
			root := test.make(d)
			_, err := source.Walk(t.Context(), root, d.raw[root.Digest], d.read, nil)
			if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Errorf("got %v, want %q", err, test.refused)
			}
			if len(d.reads) != test.reads {
				t.Errorf("%d reads, want %d", len(d.reads), test.reads)
			}
		})
	}
}

// Whatever is kept beside its entry, what costs too much is not.
func TestWalkKeepsErrors(t *testing.T) {
	d := &documentsByDigest{raw: map[digest.Digest][]byte{}}
	absent := entry("absent")
	absent.MediaType = ocispec.MediaTypeImageIndex
	keep := func(error) bool { return true }
	root := d.index("", absent, entry("a"), d.index("nested", entry("b")))
	x, err := source.Walk(t.Context(), root, d.raw[root.Digest], d.read, keep)
	if err != nil {
		t.Fatal(err)
	}
	if x.Entries[0].Err == nil || x.Entries[2].Nested == nil {
		t.Errorf("got %+v", x.Entries)
	}
	var leaves []digest.Digest
	for leaf := range x.Leaves() {
		leaves = append(leaves, leaf.Digest)
	}
	if want := []digest.Digest{entry("a").Digest, entry("b").Digest}; !slices.Equal(leaves, want) {
		t.Errorf("leaves %v, want %v", leaves, want)
	}
	root = d.chain(3)
	if _, err := source.Walk(t.Context(), root, d.raw[root.Digest], d.read, keep); !errors.Is(err, manifest.ErrMalformed) {
		t.Errorf("got %v, want that it nests too deep", err)
	}
}
