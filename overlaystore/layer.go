// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
)

// LayerRecord is layer.json: what the store knows of a layer beside its files.
type LayerRecord struct {
	// DiffID is the digest of the uncompressed tar; for a fix layer it is the
	// chainID of the layers that it belongs on.
	DiffID digest.Digest `json:"diffID"`
	// Size is the size of the uncompressed tar, and DiskSize the sum of the sizes of
	// all regular files (in a store of tars that of the tar), in bytes.
	Size     int64        `json:"size"`
	DiskSize int64        `json:"diskSize,omitempty"`
	Blobs    []layer.Blob `json:"blobs,omitempty"`
	Counts   layer.Counts `json:"counts"`
	layer.Facts
	// Index is the digest of an image's index, in a store that keeps tars.
	Index digest.Digest `json:"index,omitempty"`
	// Notes count, by kind, what was dropped or mended while unpacking.
	Notes map[string]int64 `json:"notes,omitempty"`
}

// recordFile lies in a layer's directory, beside the lower dir and the journal.
const recordFile = "layer.json"

// maxRecord bounds layer.json. A layer of a million implied directories with
// long names stays below it.
const maxRecord = 256 << 20

// openLayer opens the directory of a layer that is durable, or that was committed
// without sync since the last boot. rel is its path under the store.
func (s *Store) openLayer(diffID digest.Digest) (dir *os.File, rel string, err error) {
	name, err := storedirs.Name(diffID)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	dir, err = durable.OpenDirAt(s.dirs[storedirs.Layers], name)
	if err == nil {
		return dir, storedirs.Layers + "/" + name, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		dir, err = durable.OpenDirAt(s.dirs[storedirs.Unsynced], s.boot+"/"+name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("layer %s: %w", diffID, ErrNotFound)
	}
	return dir, storedirs.Unsynced + "/" + s.boot + "/" + name, err
}

// HasLayer reports whether the layer need not be fetched. A layer that was committed
// with NoSync counts only for a store that was opened with NoSync.
func (s *Store) HasLayer(diffID digest.Digest) (bool, error) {
	dir, rel, err := s.openLayer(diffID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return s.noSync || strings.HasPrefix(rel, storedirs.Layers+"/"), dir.Close()
}

// Layer reads a layer's record. The error is ErrNotFound where there is no such layer.
func (s *Store) Layer(diffID digest.Digest) (LayerRecord, error) {
	dir, _, err := s.openLayer(diffID)
	if err != nil {
		return LayerRecord{}, err
	}
	rec, err := ReadRecord(dir)
	if err == nil && rec.DiffID != diffID {
		err = fmt.Errorf("%w: the record is that of %s", ErrDamaged, rec.DiffID)
	}
	if err != nil {
		err = fmt.Errorf("layer %s: %w", diffID, err)
	}
	return rec, errors.Join(err, dir.Close())
}

// ReadRecord reads the record of a layer from its directory dir. The error is
// ErrDamaged where there is none or where it is no JSON.
func ReadRecord(dir *os.File) (LayerRecord, error) {
	var rec LayerRecord
	raw, err := storedirs.ReadFile(dir, recordFile, maxRecord)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.Join(ErrDamaged, err)
		}
		return rec, err
	}
	if err := json.Unmarshal(raw, &rec); err != nil {
		return rec, fmt.Errorf("%w: %s: %w", ErrDamaged, recordFile, err)
	}
	return rec, nil
}
