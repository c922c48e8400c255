// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Stored is one blob in a cache.
type Stored struct {
	ocispec.Descriptor           // without a media type
	Kept               time.Time // when it was written
}

// Blobs lists all blobs. They are not verified.
func (c *Cache) Blobs() ([]Stored, error) {
	if c.dir == nil {
		return nil, errUnopened
	}
	var all []Stored
	for _, a := range algorithms {
		entries, err := os.ReadDir(c.blobs[a].Name())
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			d := digest.NewDigestFromEncoded(a, e.Name())
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) || d.Validate() != nil {
				continue // it was removed meanwhile, or is no blob
			}
			if err != nil {
				return nil, err
			}
			all = append(all, Stored{ocispec.Descriptor{Digest: d, Size: info.Size()}, info.ModTime()})
		}
	}
	return all, nil
}
