// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/failure"
)

func TestReader(t *testing.T) {
	const text = "some bytes"
	right := ocispec.Descriptor{Digest: digest.FromString(text), Size: int64(len(text))}
	longer, shorter, other := right, right, right
	longer.Size++
	shorter.Size--
	other.Digest = digest.FromString("other bytes")
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		body   io.Reader
		want   ocispec.Descriptor
		wrong  error // nil: all is well
		passed int   // most bytes that may be passed on
	}{
		"right":                 {strings.NewReader(text), right, nil, len(text)},
		"right, in bytes":       {iotest.OneByteReader(strings.NewReader(text)), right, nil, len(text)},
		"right, EOF with bytes": {iotest.DataErrReader(strings.NewReader(text)), right, nil, len(text)},
		"sha512":                {strings.NewReader(text), ocispec.Descriptor{Digest: digest.SHA512.FromString(text), Size: right.Size}, nil, len(text)},
		"nothing":               {strings.NewReader(""), ocispec.Descriptor{Digest: digest.FromString("")}, nil, 0},
		"too few":               {strings.NewReader(text), longer, failure.Mismatch, len(text)},
		"too many":              {strings.NewReader(text), shorter, failure.Mismatch, len(text) - 1},
		"right, and more":       {strings.NewReader(text + "!"), right, failure.Mismatch, len(text)},
		"others":                {strings.NewReader(text), other, failure.Mismatch, len(text)},
		"a failure":             {io.MultiReader(strings.NewReader(text[:3]), iotest.ErrReader(broken)), right, broken, 3},
		"a failure at the end":  {io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), right, broken, len(text)},
	} {
		t.Run(name, func(t *testing.T) {
			r := content.Verify(io.NopCloser(c.body), c.want, "host")
			got, err := io.ReadAll(r)
			if !errors.Is(err, c.wrong) || c.wrong == nil && string(got) != text && c.want.Size > 0 || len(got) > c.passed {
				t.Errorf("got %q, %v", got, err)
			}
			if _, again := r.Read(make([]byte, 1)); c.wrong != nil && !errors.Is(again, c.wrong) {
				t.Errorf("after the error: %v", again)
			}
			var mismatch *content.MismatchError
			if errors.As(err, &mismatch) && mismatch.Host != "host" {
				t.Errorf("it came from %q", mismatch.Host)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	good := digest.FromString("x")
	for name, c := range map[string]struct {
		desc  ocispec.Descriptor
		limit int64
		ok    bool
	}{
		"right":             {ocispec.Descriptor{Digest: good, Size: 5}, 5, true},
		"without a limit":   {ocispec.Descriptor{Digest: good, Size: 1 << 40}, 0, true},
		"too large":         {ocispec.Descriptor{Digest: good, Size: 6}, 5, false},
		"less than none":    {ocispec.Descriptor{Digest: good, Size: -1}, 0, false},
		"a path":            {ocispec.Descriptor{Digest: "sha256:../../x"}, 0, false},
		"no digest":         {ocispec.Descriptor{}, 0, false},
		"another algorithm": {ocispec.Descriptor{Digest: digest.SHA384.FromString("x")}, 0, false},
	} {
		if err := content.Check(c.desc, c.limit); (err == nil) != c.ok || err != nil && !errors.Is(err, failure.Malformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
