// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	_ "crypto/sha256" // these imports register the algorithms of go-digest
	_ "crypto/sha512"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// parseDigest reads a digest that can be used in a path: sha256 or sha512 in lower-case
// hex, of the full length. The error is an [ErrMalformed].
func parseDigest(s string) (digest.Digest, error) {
	algorithm, hex, _ := strings.Cut(s, ":")
	length := map[string]int{"sha256": 64, "sha512": 128}[algorithm]
	if length == 0 {
		return "", malformed{fmt.Errorf("digest %q is neither sha256 nor sha512", clip(s))}
	}
	notHex := func(r rune) bool { return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'f') }
	if len(hex) != length || strings.ContainsFunc(hex, notHex) {
		return "", malformed{fmt.Errorf("digest %q is not %s: and %d lower-case hex digits", clip(s), algorithm, length)}
	}
	return digest.Digest(s), nil
}

// clip cuts a foreign text for an error.
func clip(s string) string {
	const enough = 150
	if len(s) > enough {
		return s[:enough] + "..."
	}
	return s
}

// maxURLs bounds the urls of a layer that are kept, and maxURL the bytes of each. No real
// image has more.
const (
	maxURLs = 16
	maxURL  = 4096
)

// checkLayer is check for a layer, of which it keeps the first urls: the user decides
// whether they are asked.
func checkLayer(d *ocispec.Descriptor) error {
	urls := d.URLs
	if err := check(d); err != nil {
		return err
	}
	for _, u := range urls[:min(len(urls), maxURLs)] {
		if len(u) <= maxURL {
			d.URLs = append(d.URLs, u)
		}
	}
	return nil
}

// check refuses an invalid descriptor. It drops its urls, because the user and not the
// author decides where blobs are fetched from. It also drops embedded data that does not
// match the digest: the blob can be fetched in its place.
func check(d *ocispec.Descriptor) error {
	if _, err := parseDigest(string(d.Digest)); err != nil {
		return err
	}
	if d.MediaType == "" {
		return malformed{fmt.Errorf("descriptor of %s has no media type", d.Digest)}
	}
	if d.Size < 0 {
		return malformed{fmt.Errorf("size %d of %s is negative", d.Size, d.Digest)}
	}
	d.URLs = nil
	if d.Data != nil && (int64(len(d.Data)) != d.Size || !verifies(d.Digest, d.Data)) {
		d.Data = nil
	}
	return nil
}

func verifies(d digest.Digest, data []byte) bool { return d.Algorithm().FromBytes(data) == d }

// sizes has the sizes of digests, and refuses a second size of one.
type sizes map[digest.Digest]int64

func (s sizes) check(d ocispec.Descriptor) error {
	if size, ok := s[d.Digest]; ok && size != d.Size {
		return malformed{fmt.Errorf("%s is said to have %d bytes and %d", d.Digest, size, d.Size)}
	}
	s[d.Digest] = d.Size
	return nil
}
