// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	containers "github.com/containerd/containerd/api/services/containers/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/given"
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
	if _, err := e.Take(t.Context(), s, two.Image.Manifest, nil); err != nil || f.images["docker.io/library/both:1"] == nil {
		t.Errorf("images %v, %v", f.images, err)
	}
	if _, err := e.Take(t.Context(), s, one.Image.Manifest, nil); err != nil || f.images["docker.io/library/both:1"] != nil {
		t.Errorf("images %v, %v", f.images, err)
	}
}

// TestGiveUnderAnotherName: what was given under one name, and then under another or
// as part of another index, is taken with all its names, and unpinned where it is
// handed over. A name that means another image by then stays.
func TestGiveUnderAnotherName(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	for _, c := range []struct {
		name     string
		handOver bool
		left     []string
	}{
		{"taken", false, []string{"docker.io/library/moved:1"}},
		{"handed over", true, []string{"docker.io/library/moved:1", "docker.io/library/other:1", "docker.io/library/three:1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, e, s := anEngine(t, true)
			one := threeLayers(t, s)
			two := anImage(t, s, "two:1", one.Layers[:2]...)
			one.Names = append(one.Names, "docker.io/library/moved:1")
			two.Names = []string{"docker.io/library/moved:1"}
			last := one
			last.Names, last.Root, last.RootBytes = []string{"docker.io/library/other:1"}, ocispec.Descriptor{Digest: one.Image.Manifest}, nil
			for _, i := range []Image{one, two, last, last} {
				if _, err := e.Give(t.Context(), s, i, GiveOptions{HandOver: c.handOver && i.Names[0] == last.Names[0]}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := e.Take(t.Context(), s, one.Image.Manifest, nil); err != nil {
				t.Fatal(err)
			}
			left := slices.Sorted(maps.Keys(f.images))
			for _, name := range left {
				if i := f.images[name]; (i.Labels[pinnedLabel] != "") != (i.Target.Digest == two.Root.Digest.String()) {
					t.Errorf("%s has the labels %v", name, i.Labels)
				}
			}
			left = slices.DeleteFunc(left, func(name string) bool { return strings.HasPrefix(name, "sha256:") })
			if !slices.Equal(left, c.left) {
				t.Errorf("left are %q", left)
			}
			f.check(t, c.name)
		})
	}
}

// TestGiveAgainInterrupted: what the engine has stays given where giving it again is
// interrupted, and what is taken then does not.
func TestGiveAgainInterrupted(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	f, e, s := anEngine(t, true)
	img := threeLayers(t, s)
	only := func(err, want error) given.Record {
		t.Helper()
		list, listErr := recordsOf(s)
		if !errors.Is(err, want) || listErr != nil || len(list) != 1 {
			t.Fatalf("%v, and the records are %+v, %v", err, list, listErr)
		}
		return list[0]
	}
	give := func(ctx context.Context) error {
		_, err := e.Give(ctx, s, img, GiveOptions{})
		return err
	}
	if r := only(give(t.Context()), nil); !r.Complete || r.Again {
		t.Errorf("given: %+v", r)
	}
	loses := func(method string) {
		f.ask(func(n int) (before, after error) {
			if f.methods[len(f.methods)-1] == method && n > 1 { // the first ends no lease
				return status.Error(codes.Unavailable, "lost"), nil
			}
			return nil, nil
		})
	}
	loses("AddResource")
	if r := only(give(t.Context()), errkind.Network); !r.Complete || !r.Again {
		t.Errorf("interrupted: %+v", r)
	}
	f.ask(nil)
	if r := only(give(t.Context()), nil); !r.Complete || r.Again {
		t.Errorf("given again: %+v", r)
	}
	loses("Delete")
	_, err := e.Take(t.Context(), s, img.Image.Manifest, nil)
	if r := only(err, errkind.Network); r.Complete {
		t.Errorf("not taken to the end: %+v", r)
	}
}

// TestTakeStill: what another process gives between the decision to take it and the
// taking stays.
func TestTakeStill(t *testing.T) {
	layertest.NeedsRoot(t, "to give files to an engine")
	f, e, s := anEngine(t, true)
	img := threeLayers(t, s)
	records, err := given.Open(t.Context(), s.Dir())
	if err == nil {
		err = records.Put(t.Context(), given.Record{
			Kind: given.Containerd, Address: e.at.Address, Namespace: e.at.Namespace, Manifest: img.Image.Manifest, Names: img.Names, Root: img.Root.Digest,
		})
	}
	if err := errors.Join(err, records.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Give(t.Context(), s, img, GiveOptions{}); err != nil {
		t.Fatal(err)
	}
	incomplete := func(complete bool) (bool, error) { return !complete, nil }
	if taken, err := e.Take(t.Context(), s, img.Image.Manifest, incomplete); err != nil || taken != nil || f.images[img.Names[0]] == nil {
		t.Errorf("taken are %q, %v", taken, err)
	}
	list, err := recordsOf(s)
	if err != nil || len(list) != 1 || !list[0].Complete {
		t.Errorf("the records are %+v, %v", list, err)
	}
	if _, err := e.Take(t.Context(), s, img.Image.Manifest, func(bool) (bool, error) { return true, errkind.Busy }); !errors.Is(err, errkind.Busy) || f.images[img.Names[0]] == nil {
		t.Errorf("where it is not known: %v", err)
	}
}
