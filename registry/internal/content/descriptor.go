// SPDX-License-Identifier: Apache-2.0

// Package content verifies bytes against the descriptors they came for.
package content

import (
	_ "crypto/sha256" // go-digest finds its algorithms by these imports
	_ "crypto/sha512"
	"fmt"

	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Limits on what is read into memory. Package registry documents them.
const (
	MaxManifest = 4 << 20
	MaxConfig   = 8 << 20
)

// CheckDigest accepts what can be verified and used in a path or URL.
func CheckDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", string(d), err)
	}
	if a := d.Algorithm(); a != digest.SHA256 && a != digest.SHA512 {
		return fmt.Errorf("digest algorithm %q: only sha256 and sha512", string(a))
	}
	return nil
}

// Check refuses a descriptor that cannot be asked for: its digest becomes part
// of a URL or a path. A limit of 0 is none.
func Check(desc ocispec.Descriptor, limit int64) error {
	if err := CheckDigest(desc.Digest); err != nil {
		return failure.Mark(failure.Malformed, err)
	}
	if desc.Size < 0 {
		return failure.New(failure.Malformed, "size %d", desc.Size)
	}
	if limit > 0 && desc.Size > limit {
		return failure.New(failure.Malformed, "size %d, limit %d", desc.Size, limit)
	}
	return nil
}
