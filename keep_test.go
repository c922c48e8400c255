// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
)

// sixLayers writes an image of six layers.
func sixLayers(t *testing.T) *imagetest.Layout {
	t.Helper()
	layout := imagetest.NewLayout(filepath.Join(disktest.Memory(t), "six"))
	var layers [][]byte
	for i := range 6 {
		layers = append(layers, imagetest.Tar(
			imagetest.Dir(fmt.Sprintf("d%d/", i), 0o755), imagetest.File(fmt.Sprintf("d%d/f", i), strings.Repeat("x", 5000+i)), imagetest.Symlink(fmt.Sprint("l", i), "d0/f")))
	}
	layout.Tag(layout.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, layers...), "latest")
	return layout
}

// afterFour returns a context in which the first durable step after the fourth
// layer was kept, and each after it, does what end says.
func afterFour(ctx context.Context, end func() error) context.Context {
	var mu sync.Mutex
	kept := 0
	return durable.WithFault(ctx, func(op string) error {
		mu.Lock()
		defer mu.Unlock()
		if kept == 4 {
			return end()
		}
		if op == "rename" {
			kept++
		}
		return nil
	})
}

// A pull of six layers that ends after the fourth leaves four of them to the
// next one.
func TestFinishedLayersSurvive(t *testing.T) {
	layout := sixLayers(t)
	ref := "oci:" + layout.Dir + ":latest"
	for _, c := range []struct {
		name string
		// pull ends after the fourth layer.
		pull func(t *testing.T, store string) error
	}{
		{"killed", func(t *testing.T, store string) error {
			return childCommand(t.Context(), t, "six", 0, store, ref).Run()
		}},
		{"terminated", func(t *testing.T, store string) error {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			return pullSix(afterFour(ctx, func() error {
				cancel(errors.New("SIGTERM"))
				return nil
			}), store, ref)
		}},
		{"disk full", func(t *testing.T, store string) error {
			return pullSix(afterFour(t.Context(), func() error { return unix.ENOSPC }), store, ref)
		}},
		{"network lost", func(t *testing.T, store string) error {
			return pullSix(t.Context(), store, fourServed(t, layout))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store := newStoreDir(t)
			if err := c.pull(t, store); err == nil {
				t.Fatal("the pull ended well")
			}
			nextFetches(t, store, ref)
		})
	}
}

func pullSix(ctx context.Context, dir, ref string) error {
	store, err := overlaystore.Open(ctx, dir, overlaystore.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	client := New(Options{Platform: "linux/amd64", Jobs: 1, Registry: registry.Options{Retries: -1}})
	_, err = client.Pull(ctx, store, ref)
	return err
}

// fourServed is the image in a registry that goes away after four layers.
func fourServed(t *testing.T, layout *imagetest.Layout) string {
	t.Helper()
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	r.AddLayout(layout.Dir, "latest")
	var mu sync.Mutex
	blobs := 0 // the config is one
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		if req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/blobs/") {
			blobs++
		}
		gone := blobs > 5
		mu.Unlock()
		if gone {
			panic(http.ErrAbortHandler)
		}
		r.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://") + "/six:latest"
}

// nextFetches pulls as the next process does, and wants one layer or two to be
// planned and fetched, the others kept by an earlier pull, and all of it right.
func nextFetches(t *testing.T, dir, ref string) {
	t.Helper()
	store, err := overlaystore.Open(t.Context(), dir, overlaystore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if u, err := store.Usage(t.Context()); err != nil || u.Partial < 4*5000 || u.Layers != 0 || u.Left != 0 {
		t.Errorf("before: %+v, %v", u, err)
	}
	plan, err := faultClient().Plan(t.Context(), store, ref)
	missing := 0
	for _, l := range plan.Layers {
		if !l.Partial {
			missing++
		}
	}
	if err != nil || missing < 1 || missing > 2 {
		t.Errorf("%d layers are to be fetched, %v", missing, err)
	}
	pulled, err := faultClient().Pull(t.Context(), store, ref)
	// Of one that the power took the name may be left.
	if err != nil || pulled.Fetched < missing || pulled.Fetched > 2 {
		t.Errorf("fetched %d layers, %v; want %d or 2", pulled.Fetched, err, missing)
	}
	if report, err := store.Verify(t.Context(), overlaystore.VerifyOptions{}); err != nil || report.Layers != 6 {
		t.Errorf("verified %d layers, %v: %v", report.Layers, err, report.Differences)
	}
	for _, name := range []string{"partial", "staging", "trash"} {
		if left, err := os.ReadDir(filepath.Join(dir, name)); err != nil || len(left) != 0 {
			t.Errorf("%s/ holds %v, %v", name, left, err)
		}
	}
}

// A power cut takes what was not yet written, which may be the fifth layer.
func TestFinishedLayersSurviveAPowerCut(t *testing.T) {
	ref := "oci:" + sixLayers(t).Dir + ":latest"
	for _, kind := range filesystems() {
		t.Run(kind[0], func(t *testing.T) {
			disk := disktest.New(t, loopBytes, kind[0], kind[1:]...)
			dir := filepath.Join(disk.Dir, "store")
			store, err := overlaystore.Open(t.Context(), dir, overlaystore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			client := faultClient()
			client.measured.Settle = time.Nanosecond
			_, err = client.Pull(cutAtFifth(t.Context(), disk), store, ref)
			if !errors.Is(err, unix.EIO) {
				t.Fatalf("the pull ended with %v", err)
			}
			store.Close()
			disk.Reboot()
			nextFetches(t, dir, ref)
		})
	}
}

// cutAtFifth returns a context in which no step of a layer is made before the
// sync of the one before it has begun, and the power goes at the fifth sync: then
// the fourth has ended.
func cutAtFifth(ctx context.Context, disk *disktest.FS) context.Context {
	var mu sync.Mutex
	begun := sync.NewCond(&mu)
	kept, syncs := 0, 0
	return durable.WithFault(ctx, func(op string) error {
		mu.Lock()
		defer mu.Unlock()
		if op == "syncfs" {
			syncs++
			begun.Broadcast()
			if syncs == 5 {
				return errors.Join(unix.EIO, disk.Cut())
			}
			return nil
		}
		for syncs < kept {
			begun.Wait()
		}
		if op == "rename" {
			kept++
		}
		return nil
	})
}
