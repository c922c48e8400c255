// SPDX-License-Identifier: Apache-2.0

// Package content verifies bytes against the descriptors that name them.
package content

import (
	_ "crypto/sha256" // these imports register the algorithms of go-digest
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

// CheckDigest refuses a digest that cannot be verified or used in a path or URL: it
// must be valid, and by SHA-256 or SHA-512.
func CheckDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", string(d), err)
	}
	if a := d.Algorithm(); a != digest.SHA256 && a != digest.SHA512 {
		return fmt.Errorf("digest algorithm %q: only sha256 and sha512", string(a))
	}
	return nil
}

// CheckManifest is [Check] for an index or a manifest, with the limit of
// [MaxManifest]. A negative size is allowed: it means that the size is not known.
func CheckManifest(desc ocispec.Descriptor) error {
	desc.Size = max(desc.Size, 0)
	return Check(desc, MaxManifest)
}

// Check refuses a descriptor whose digest [CheckDigest] refuses, or whose size is
// negative or above the limit; a limit of 0 is none. The error is
// [failure.Malformed].
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
