// SPDX-License-Identifier: Apache-2.0

package containersstorage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
)

// maxRecords is how large a list of records may be; a thousand images have some
// megabytes.
const maxRecords = 64 << 20

// layerRecord is one layer in layers.json (type Layer in layers.go of
// containers/storage).
type layerRecord struct {
	ID               string        `json:"id"`
	Parent           string        `json:"parent,omitempty"`
	Created          time.Time     `json:"created"`
	CompressedDigest digest.Digest `json:"compressed-diff-digest,omitempty"`
	CompressedSize   int64         `json:"compressed-size,omitempty"`
	Digest           digest.Digest `json:"diff-digest,omitempty"`
	Size             int64         `json:"diff-size,omitempty"`
	Compression      int           `json:"compression,omitempty"`
	UIDs             []uint32      `json:"uidset,omitempty"`
	GIDs             []uint32      `json:"gidset,omitempty"`
}

// imageRecord is one image in images.json (type Image in images.go).
type imageRecord struct {
	ID             string                   `json:"id"`
	Digest         digest.Digest            `json:"digest,omitempty"`
	Names          []string                 `json:"names,omitempty"`
	NamesHistory   []string                 `json:"names-history,omitempty"`
	Layer          string                   `json:"layer,omitempty"`
	Metadata       string                   `json:"metadata,omitempty"`
	BigDataNames   []string                 `json:"big-data-names,omitempty"`
	BigDataSizes   map[string]int64         `json:"big-data-sizes,omitempty"`
	BigDataDigests map[string]digest.Digest `json:"big-data-digests,omitempty"`
	Created        time.Time                `json:"created"`
}

// records is what the two lists hold.
type records struct {
	layers []*layerRecord
	images []*imageRecord
}

func (s *Store) records() (*records, error) {
	var r records
	if err := readList(s.root, layersDir+"/"+layersFile, &r.layers); err != nil {
		return nil, err
	}
	if err := readList(s.root, imagesDir+"/"+imagesFile, &r.images); err != nil {
		return nil, err
	}
	return &r, nil
}

func readList[T any](root *os.File, path string, to *[]*T) error {
	raw, err := fsat.ReadFile(root, path, maxRecords)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	for _, record := range *to {
		if record == nil {
			return fmt.Errorf("read %s: a record is null", path)
		}
	}
	return nil
}

// writeList replaces a list; the caller holds its lock. Readers that keep what
// they have read look at the lock for a change, so it changes first.
func writeList[T any](ctx context.Context, root *os.File, dirName, name string, list []*T) error {
	if list == nil {
		list = []*T{} // an engine reads "null" too, but nobody writes it
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return err
	}
	dir, err := durable.OpenDirAt(root, dirName)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := recordWrite(ctx, dir, lockOf(name)); err != nil {
		return err
	}
	return durable.WriteFile(ctx, dir, name, raw, 0o600)
}

// layer is the layer with an id, nil where there is none.
func (r *records) layer(id string) *layerRecord {
	for _, l := range r.layers {
		if l.ID == id {
			return l
		}
	}
	return nil
}

func (r *records) image(id string) *imageRecord {
	for _, i := range r.images {
		if i.ID == id {
			return i
		}
	}
	return nil
}

// chain are the ids of a layer and all below it.
func (r *records) chain(id string) map[string]bool {
	parents := map[string]string{}
	for _, l := range r.layers {
		parents[l.ID] = l.Parent
	}
	chain := map[string]bool{}
	for id != "" && !chain[id] {
		chain[id] = true
		id = parents[id]
	}
	return chain
}

// Held is an image that the store has for engines.
type Held struct {
	ID        string          // as podman shows it: its config's digest in hex
	Names     []string        // what podman calls it
	Manifests []digest.Digest // whose configs are this one
}

// Images lists what the store has, in the order in which it was given.
func (s *Store) Images() ([]Held, error) {
	r, err := s.records()
	if err != nil {
		return nil, err
	}
	var list []Held
	for _, i := range r.images {
		list = append(list, Held{i.ID, i.Names, i.manifests()})
	}
	return list, nil
}

func exists(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
