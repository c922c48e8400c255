// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/overlaystore"
)

// TestLayersElsewhere: layers that somebody else has are not asked for, the store
// gets no image without them, and the next pull for the store brings them.
func TestLayersElsewhere(t *testing.T) {
	r := registrytest.NewRegistry()
	defer r.Close()
	r.AddLayout(sixLayers(t).Dir, "six")
	store, err := overlaystore.Open(t.Context(), t.TempDir(), overlaystore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	o := Options{Platform: "linux/amd64"}
	o.Registry.PlainHTTP = []string{r.Host}
	blobs := func() (n int) {
		for _, request := range r.Requests() {
			if strings.HasPrefix(request, "GET blobs/") {
				n++
			}
		}
		return n
	}
	ref := r.Host + "/six:six"
	with := o
	with.Layers = func(_ context.Context, layers []digest.Digest) (Taker, error) {
		return Taker{Elsewhere: layers[:4]}, nil
	}
	pulled, err := New(with).Pull(t.Context(), store, ref)
	if err != nil || pulled.Fetched != 2 || len(pulled.Image.Layers) != 6 {
		t.Fatalf("fetched %d of %d layers, %v", pulled.Fetched, len(pulled.Image.Layers), err)
	}
	if n := blobs(); n != 3 {
		t.Errorf("%d blobs were asked for, want the config and two layers", n)
	}
	if images, err := store.Images(); err != nil || len(images) > 0 {
		t.Errorf("images %v, %v", images, err)
	}
	pulled, err = New(o).Pull(t.Context(), store, ref)
	if err != nil || pulled.Fetched != 4 {
		t.Errorf("fetched %d, %v", pulled.Fetched, err)
	}
	if n := blobs(); n != 5 {
		t.Errorf("%d blobs were asked for then, want the config and four layers", n)
	}
	// What the store has is an image, whoever else has it.
	if _, err = New(with).Pull(t.Context(), store, ref); err != nil || blobs() != 1 {
		t.Error("what the store has is asked for", err)
	}
	if images, err := store.Images(); err != nil || len(images) != 1 {
		t.Errorf("images %v, %v", images, err)
	}
}
