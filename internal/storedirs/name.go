// SPDX-License-Identifier: Apache-2.0

package storedirs

import (
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Name is the directory name for a digest, which is only believed when it
// is a sha256 in full.
func Name(dgst digest.Digest) (string, error) {
	// An image can have hundreds, and Validate asks a regular expression.
	if hex, ok := strings.CutPrefix(string(dgst), sha256Prefix); ok && len(hex) == sha256Digits && strings.Trim(hex, hexDigits) == "" {
		return hex, nil
	}
	if err := dgst.Validate(); err != nil {
		return "", fmt.Errorf("digest %q: %w", dgst, err)
	}
	if dgst.Algorithm() != digest.SHA256 {
		return "", fmt.Errorf("digest %q: only sha256 names a layer or an image in the store", dgst)
	}
	return dgst.Encoded(), nil
}

const (
	sha256Prefix = string(digest.SHA256) + ":"
	sha256Digits = 64
	hexDigits    = "0123456789abcdef"
)

// digitsInIndex is how many of a manifest's digits are in the name of a link to
// an index.
const digitsInIndex = 12

// IndexOf is the link to an index by which an image is mounted: images with the
// same layers have one index, and of a mount the kernel shows the name of the
// file that it was made from.
func IndexOf(manifest digest.Digest) string {
	hex := manifest.Encoded()
	return hex[:min(len(hex), digitsInIndex)] + indexSuffix
}

const indexSuffix = ".erofs"

// IndexDigits are the first digits of the manifest of the image that is mounted
// from an index, by the name of its file, or "" for [Index] itself; false for
// any other file.
func IndexDigits(file string) (digits string, ok bool) {
	if file == Index {
		return "", true
	}
	digits, ok = strings.CutSuffix(file, indexSuffix)
	return digits, ok && len(digits) == digitsInIndex && strings.Trim(digits, hexDigits) == ""
}
