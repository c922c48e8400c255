// SPDX-License-Identifier: Apache-2.0

package containersstorage

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaystore"
)

// maxLower is the kernel's limit for the layers of one overlay, which the
// engine has too (maxDepth in drivers/overlay). A container needs one of them.
const maxLower = 500

// planned is one layer as the engine is to have it.
type planned struct {
	record *layerRecord
	from   string        // its lower dir, under the store that it comes from
	below  []string      // the ids of the layers beneath it, the topmost first
	diffID digest.Digest // "" for a fix layer
	blob   manifest.Layer
}

// layerIDs are the ids of an image's layers, the lowest first, as the engine
// makes them (layerID in image/storage of container-libs).
func layerIDs(diffIDs []digest.Digest) []string {
	ids := make([]string, len(diffIDs))
	for i, diffID := range diffIDs {
		ids[i] = diffID.Encoded()
		if i > 0 {
			ids[i] = digest.FromString(ids[i-1] + "+" + diffID.Encoded()).Encoded()
		}
	}
	return ids
}

// fixID is the id of the fix layer on top of a layer.
func fixID(top string) string { return digest.FromString(top + "+layerctl-fix").Encoded() }

// linkName is the short name of a layer in overlay/l. Engines give random ones
// and look for all of them in one place after the other: no two may be the same.
func linkName(id string) string {
	sum := sha256.Sum256([]byte("link " + id))
	return base32.StdEncoding.EncodeToString(sum[:])[:26]
}

// planLayers says which layers an image consists of, the lowest first. Below a
// layer with an opaque root nothing counts, as in a mount of the store's.
func planLayers(from *overlaystore.Store, img overlaystore.Image, layers []manifest.Layer) ([]planned, error) {
	ids := layerIDs(img.Layers)
	var list []planned
	var below []string
	for i, diffID := range img.Layers {
		rec, err := from.Layer(diffID)
		if err != nil {
			return nil, err
		}
		if rec.RootOpaque {
			list, below = nil, nil
		}
		lower, err := lowerOf(storedirs.Layers, diffID)
		if err != nil {
			return nil, err
		}
		l := planned{record: &layerRecord{ID: ids[i], Digest: diffID, Size: rec.Size}, from: lower, below: below, diffID: diffID, blob: layers[i]}
		list, below = append(list, l), append([]string{ids[i]}, below...)
	}
	if img.Fix != "" {
		lower, err := lowerOf(storedirs.Fix, img.Fix)
		if err != nil {
			return nil, err
		}
		// Without a digest engines cannot tell the image's size.
		id := fixID(below[0])
		list = append(list, planned{record: &layerRecord{ID: id, Digest: digest.NewDigestFromEncoded(digest.SHA256, id)}, from: lower, below: below})
	}
	if len(list) >= maxLower {
		return nil, fmt.Errorf("%w: the image has %d layers with those that are added to it, and engines mount %d below a container", overlaystore.ErrUnsupported, len(list), maxLower-1)
	}
	for _, l := range list {
		if len(l.below) > 0 {
			l.record.Parent = l.below[0]
		}
	}
	return list, nil
}

// lowerOf is where a layer's lower dir is under its store.
func lowerOf(dir string, dgst digest.Digest) (string, error) {
	name, err := storedirs.Name(dgst)
	return dir + "/" + name + "/" + storedirs.LowerDir, err
}

// compression are the numbers that containers/storage has for how a blob is
// packed (pkg/archive).
func compression(c manifest.Compression) int {
	return map[manifest.Compression]int{manifest.Gzip: 2, manifest.Zstd: 4}[c]
}

// describe says of a layer what engines record of those that they unpack.
func (l planned) describe(ctx context.Context, from *overlaystore.Store) (err error) {
	l.record.Created = time.Now().UTC()
	if l.diffID == "" {
		return nil
	}
	l.record.CompressedDigest, l.record.CompressedSize = l.blob.Descriptor.Digest, l.blob.Descriptor.Size
	l.record.Compression = compression(l.blob.Compression())
	dir, err := from.OpenLayer(l.diffID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	uids, gids := map[uint32]bool{}, map[uint32]bool{}
	for e, err := range dir.Entries(ctx) {
		if err != nil {
			return err
		}
		uids[e.UID], gids[e.GID] = true, true
	}
	l.record.UIDs, l.record.GIDs = slices.Sorted(maps.Keys(uids)), slices.Sorted(maps.Keys(gids))
	return nil
}
