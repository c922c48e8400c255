// SPDX-License-Identifier: Apache-2.0

package engines

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/engine/containersstorage"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/overlaystore"
)

// TestTakeStorageKept: the record of an image that a container keeps in an image store
// has what was given since somebody decided to take it.
func TestTakeStorageKept(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to podman")
	work := layertest.MemoryDir(t)
	t.Setenv("CONTAINERS_STORAGE_CONF", filepath.Join(work, "storage.conf"))
	layout := imagetest.NewLayout(filepath.Join(work, "layout"))
	layout.Tag(layout.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, imagetest.Tar(imagetest.File("a", "a"))), "one")
	store, err := overlaystore.Open(t.Context(), filepath.Join(work, "store"), overlaystore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	client := layerctl.New(layerctl.Options{Platform: "linux/amd64"})
	ref := "oci:" + layout.Dir + ":one"
	pulled, err := client.Pull(t.Context(), store, ref)
	if err != nil {
		t.Fatal(err)
	}
	documents, err := client.Documents(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	to, err := containersstorage.Open(t.Context(), filepath.Join(work, "images"), containersstorage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	done, err := to.Give(t.Context(), store, containersstorage.Image{Image: pulled.Image, Names: []string{"localhost/new:1"}, Manifest: documents.ManifestBytes, Config: documents.ConfigBytes})
	if err := errors.Join(err, to.Close()); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"storage.conf": fmt.Sprintf("[storage]\ngraphroot = %q\n", work+"/graph"),
		"graph/overlay-containers/containers.json": fmt.Sprintf(`[{"id":"c","image":%q,"layer":"x"}]`, done.ID),
		"graph/overlay-layers/layers.json":         fmt.Sprintf(`[{"id":"x","parent":%q}]`, pulled.Image.Layers[0].Encoded()),
	} {
		path := filepath.Join(work, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	old := given.Record{Kind: given.ContainersStorage, Address: filepath.Join(work, "images"), Manifest: pulled.Image.Manifest, Names: []string{"localhost/old:1"}}
	now := old
	now.Names = []string{"localhost/new:1"}
	for name, still := range map[string]unwanted{"take": nil, "prune": func(bool) (bool, error) { return true, nil }} {
		records, err := given.Open(t.Context(), store.Dir())
		if err == nil {
			err = errors.Join(records.Put(t.Context(), now), records.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		app := cli.App{Flags: append(engineFlags(), &cli.BoolFlag{Name: "quiet"}), Action: func(c *cli.Context) error {
			return takeStorage(c, store, old, still)
		}}
		err = app.RunContext(t.Context(), []string{"layerctl"})
		list, listErr := given.List(store.Dir())
		if err := errors.Join(err, listErr); err != nil || len(list) != 1 || list[0].Complete || !slices.Equal(list[0].Names, now.Names) {
			t.Errorf("%s: the records are %+v, %v", name, list, err)
		}
	}
}
