// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestZeroValues: nothing that a caller may build panics.
func TestZeroValues(t *testing.T) {
	t.Parallel()
	ctx, desc := t.Context(), describe([]byte("x"))
	var s Source
	_, err := s.Describe(ctx)
	wantError(t, err, ErrReference)
	_, _, err = s.Root(ctx)
	wantError(t, err, ErrReference)
	_, err = s.Manifest(ctx, desc)
	wantError(t, err, ErrReference)
	_, err = s.Config(ctx, desc)
	wantError(t, err, ErrReference)
	_, err = s.Blob(ctx, desc)
	wantError(t, err, ErrReference)
	if s.Requests(desc) != 0 || s.Traffic() != nil || s.Close() != nil || s.Reference() != (Reference{}) {
		t.Error("a zero source is something")
	}
	_, err = s.Blob(ctx, ocispec.Descriptor{})
	wantError(t, err, ErrMalformed)

	var c Client
	_, err = c.Open(ctx, Reference{})
	wantError(t, err, ErrReference)
	if r := (Reference{}); r.String() != "" || r.Host() != "" || r.Path() != "" || r.Tag() != "" {
		t.Error("a zero reference names something")
	}
	if (&MismatchError{}).Error() == "" || (&PlainHTTPError{}).Error() == "" {
		t.Error("an error without words")
	}
	src := open(t, &c, "oci:"+hello)
	if _, _, err := src.Root(ctx); err != nil {
		t.Errorf("zero client: %v", err)
	}
}
