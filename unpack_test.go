// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"fmt"
	"os"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// flattened unpacks the layers into a plain directory and lists that: from
// the image alone, or with the store that has all of it.
func (b *bench) flattened(layers [][]imagetest.Entry, store *overlaystore.Store) ([]string, error) {
	work, err := os.MkdirTemp(b.dir, "flat-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	o := UnpackOptions{Store: store}
	if b.ids == layer.SquashedIDs {
		o.Owners = NoSameOwner
	}
	dir := filepath.Join(work, "root")
	unpacked, err := New(Options{Platform: "linux/amd64"}).Unpack(b.Context(), inLayout(work, layers), dir, o)
	if err != nil {
		return nil, err
	}
	if (store != nil) != (unpacked.Fetched == 0) {
		return nil, fmt.Errorf("%d layers were fetched, %d stored", unpacked.Fetched, unpacked.Stored)
	}
	return listTree(b.T, dir), nil
}

// inLayout makes a layout below dir that has the layers' image, and names it.
func inLayout(dir string, layers [][]imagetest.Entry) (ref string) {
	layout := imagetest.NewLayout(filepath.Join(dir, "image"))
	var tars [][]byte
	for _, entries := range layers {
		tars = append(tars, imagetest.Tar(entries...))
	}
	layout.Tag(layout.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, tars...), "latest")
	return "oci:" + layout.Dir + ":latest"
}
