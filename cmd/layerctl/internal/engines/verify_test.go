// SPDX-License-Identifier: Apache-2.0

package engines

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// TestPullAgain: a layout that has changed since an image of it was handed over
// still brings that image for a repair, if it has it, and what the store has of the
// new one keeps its name.
func TestPullAgain(t *testing.T) {
	amd64 := ocispec.Platform{OS: "linux", Architecture: "amd64"}
	layout := imagetest.NewLayout(t.TempDir())
	old := layout.Image(amd64, imagetest.Tar(imagetest.File("a", "old")))
	now := layout.Image(amd64, imagetest.Tar(imagetest.File("a", "new")))
	layout.Tag(now, "one")
	store, err := overlaystore.Open(t.Context(), t.TempDir(), overlaystore.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	client := layerctl.New(layerctl.Options{Platform: "linux/amd64"})
	ref := "oci:" + layout.Dir + ":one"
	if _, err := client.Pull(t.Context(), store, ref); err != nil {
		t.Fatal(err)
	}
	record := given.Record{Kind: given.Containerd, Manifest: old.Digest, Reference: ref, Platform: "linux/amd64", HandedOver: true}
	check := func(when string, again bool) {
		t.Helper()
		images, err := store.Images()
		if err != nil {
			t.Fatal(err)
		}
		var named []overlaystore.Image
		for _, i := range images {
			if len(i.Refs) > 0 {
				named = append(named, i)
			}
		}
		has := func(i overlaystore.Image) bool { return i.Manifest == old.Digest }
		kept := slices.ContainsFunc(named, func(i overlaystore.Image) bool {
			return i.Manifest == now.Digest && slices.Equal(i.Refs, []string{ref})
		})
		if !kept || slices.ContainsFunc(named, has) != again {
			t.Errorf("%s the store has %+v", when, named)
		}
	}
	end, err := pullAgain(t.Context(), client, store, record)
	if err != nil {
		t.Fatal(err)
	}
	check("during a repair", true)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	check("after it", false)
	// Somebody else has pulled it meanwhile, by the same name.
	pulled := "oci:" + layout.Dir + "@" + old.Digest.String()
	if _, err := client.Pull(t.Context(), store, pulled); err != nil {
		t.Fatal(err)
	}
	if err := forgetAgain(t.Context(), store, record, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	check("after somebody else's pull", true)
	if err := forgetAgain(t.Context(), store, record, time.Time{}); err != nil {
		t.Fatal(err)
	}
	check("after a repair that died", false)
	if err := os.Remove(layout.Path(old.Digest)); err != nil {
		t.Fatal(err)
	}
	if _, err = pullAgain(t.Context(), client, store, record); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("an image that is gone: %v", err)
	}
	check("when the image is gone", false)
}

// TestEndRepairs: what a repair that died has pulled goes before somebody pulls the
// same, whose name then stays.
func TestEndRepairs(t *testing.T) {
	store, err := overlaystore.Open(t.Context(), t.TempDir(), overlaystore.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	d := digest.FromString("handed over")
	name := "localhost/a@" + d.String()
	pull := func() {
		t.Helper()
		_, err := store.PutImage(t.Context(), overlaystore.Image{Manifest: d, Config: d})
		if err == nil {
			err = store.Tag(t.Context(), name, d, overlaystore.TagOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	end := func(stays bool, refs []string, args ...string) {
		t.Helper()
		app := cli.App{Flags: []cli.Flag{&cli.BoolFlag{Name: "dry-run"}}, Action: func(c *cli.Context) error {
			EndRepairs(c, store, refs)
			return nil
		}}
		if err := app.RunContext(t.Context(), append([]string{"layerctl"}, args...)); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Lookup(name, platform.Wanted{}); stays != (err == nil) {
			t.Errorf("%q of %q: it is in the store: %v", args, refs, err)
		}
	}
	records, err := given.Open(t.Context(), store.Dir())
	if err == nil {
		err = errors.Join(records.Put(t.Context(), given.Record{
			Kind: given.Containerd, Address: "/run/c.sock", Manifest: d, Reference: "localhost/a:1", HandedOver: true, Repair: "repair-dead",
		}), records.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	for ref, is := range map[string]bool{"localhost/a:1": true, "localhost/b:1": false} {
		err, over := Elsewhere(store, ref, overlaystore.ErrNotFound), (*handedOverError)(nil)
		if errors.As(err, &over) != is || !errors.Is(err, overlaystore.ErrNotFound) {
			t.Errorf("%s is not found: %v", ref, err)
		}
	}
	pull()
	end(true, []string{name}, "--dry-run")
	// Somebody else gives, and who pulls nothing of it does not wait.
	if records, err = given.Open(t.Context(), store.Dir()); err != nil {
		t.Fatal(err)
	}
	end(true, []string{"localhost/a:1", "localhost/a@" + digest.FromString("another").String()})
	if err := records.Close(); err != nil {
		t.Fatal(err)
	}
	end(false, []string{"localhost/b:1", name})
	pull()
	end(true, []string{name})
}
