// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestZeroCache: a cache that nobody opened fails and does not panic.
func TestZeroCache(t *testing.T) {
	ctx, desc := t.Context(), ocispec.Descriptor{Digest: digest.FromString("x"), Size: 1}
	var c Cache
	for name, do := range map[string]func() error{
		"Blob":   func() error { _, err := c.Blob(desc); return err },
		"Bytes":  func() error { _, err := c.Bytes(desc, 10); return err },
		"Blobs":  func() error { _, err := c.Blobs(); return err },
		"Find":   func() error { _, err := c.Find(desc.Digest); return err },
		"Lookup": func() error { _, err := c.Lookup("x"); return err },
		"Tag":    func() error { return c.Tag(ctx, "x", desc) },
		"Tagged": func() error { _, err := c.Tagged(); return err },
		"Untag":  func() error { return c.Untag(ctx, "x") },
		"Put":    func() error { return c.Put(ctx, desc, strings.NewReader("x")) },
		"Remove": func() error { return c.Remove(ctx, desc) },
		"Kept":   func() error { return Kept(c.Keep(ctx, desc, io.NopCloser(strings.NewReader("x")))) },
	} {
		if do() == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if c.Has(desc) || c.Close() != nil {
		t.Error("a zero cache has something")
	}
}
