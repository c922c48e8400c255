// SPDX-License-Identifier: Apache-2.0

package storedirs

import (
	"fmt"

	"github.com/opencontainers/go-digest"
)

// Name is the directory name for a digest, which is only believed when it
// is a sha256 in full.
func Name(dgst digest.Digest) (string, error) {
	if err := dgst.Validate(); err != nil {
		return "", fmt.Errorf("digest %q: %w", dgst, err)
	}
	if dgst.Algorithm() != digest.SHA256 {
		return "", fmt.Errorf("digest %q: only sha256 names a layer or an image in the store", dgst)
	}
	return dgst.Encoded(), nil
}
