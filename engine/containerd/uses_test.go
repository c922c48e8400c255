// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	containers "github.com/containerd/containerd/api/services/containers/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/layertest"
)

// TestUsers: containers hold an image by its names and by its layers, and by no
// others.
func TestUsers(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	f, e, s := anEngine(t, false)
	img := threeLayers(t, s)
	below := anImage(t, s, "two:1", img.Layers[:2]...)
	for _, i := range []Image{below, img} {
		if _, err := e.Give(t.Context(), s, i, GiveOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	top := chainIDs(img.Layers)[2].String()
	f.snapshots["rw"] = &snapshot{parent: top}
	f.snapshots["mapped"] = &snapshot{parent: top + "-0-65536"}
	f.snapshots["other"] = &snapshot{parent: chainIDs(img.Layers)[0].String()}
	f.running = []*containers.Container{
		{ID: "by-name", Image: "docker.io/library/three:1"},
		{ID: "by-config", Image: img.Image.Config.String()},
		{ID: "by-layers", Image: "else", Snapshotter: "overlayfs", SnapshotKey: "rw"},
		{ID: "in-a-user-namespace", Snapshotter: "overlayfs", SnapshotKey: "mapped"},
		{ID: "of-another", Image: "docker.io/library/four:1", Snapshotter: "overlayfs", SnapshotKey: "other"},
		{ID: "of-another-snapshotter", Snapshotter: "zfs", SnapshotKey: "rw"},
		{ID: "without-a-snapshot", Snapshotter: "overlayfs", SnapshotKey: "gone"},
	}
	users, err := e.Users(t.Context(), s, img.Image)
	if want := []string{"by-name", "by-config", "by-layers", "in-a-user-namespace"}; err != nil || !slices.Equal(users, want) {
		t.Errorf("users %q, %v, want %q", users, err, want)
	}
	if users, err := e.Users(t.Context(), s, below.Image); err != nil || users != nil {
		t.Errorf("users %q, %v of an image below it", users, err)
	}
	f.call = func(int) (before, after error) { return errors.New("broken"), nil }
	if _, err := e.Users(t.Context(), s, img.Image); err == nil {
		t.Error("no error of an engine that does not answer")
	}
}

// TestTakeLeavesASharedName: of two images of one index, for two platforms, the one
// that is taken leaves the name to the other.
func TestTakeLeavesASharedName(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	f, e, s := anEngine(t, false)
	one := threeLayers(t, s)
	two := anImage(t, s, "two:1", one.Layers[:2]...)
	index, err := json.Marshal(ocispec.Index{Manifests: []ocispec.Descriptor{{Digest: one.Image.Manifest}, {Digest: two.Image.Manifest}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []*Image{&one, &two} {
		i.Names, i.RootBytes = []string{"docker.io/library/both:1"}, index
		i.Root = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(index), Size: int64(len(index))}
		if _, err := e.Give(t.Context(), s, *i, GiveOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Take(t.Context(), s, two.Image.Manifest); err != nil || f.images["docker.io/library/both:1"] == nil {
		t.Errorf("images %v, %v", f.images, err)
	}
	if _, err := e.Take(t.Context(), s, one.Image.Manifest); err != nil || f.images["docker.io/library/both:1"] != nil {
		t.Errorf("images %v, %v", f.images, err)
	}
}
