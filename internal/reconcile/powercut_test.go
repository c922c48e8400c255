// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/overlaystore"
)

// TestPowerCut cuts the power at operation after operation of a sync whose list
// has another image than the last: the next run ends well, the image that both
// name is whole, and nothing is left over. In short it does so at a few.
func TestPowerCut(t *testing.T) {
	disk := disktest.New(t, 320<<20, "mkfs.ext4", "-q", "-F")
	every := 1
	if os.Getenv("LAYERCTL_FULL") != "1" {
		every = 61
	}
	p := newPlace(t)
	p.push("both", 10)
	shut := open(t, p, disk)
	defer func() { shut() }()
	if err := p.want("HOST/app:both", nil, "pulled app:both"); err != nil {
		t.Fatal(err)
	}
	cuts := 0
	for n := 0; ; n += every {
		tag := fmt.Sprint("t", n)
		p.push(tag, 30+n%50)
		ctx, op := durable.WithFaultAt(t.Context(), n, disk.Cut)
		_, err := Run(ctx, p.list("HOST/app:both\nHOST/b:"+tag), p.options())
		if *op == "" {
			if err != nil {
				t.Error(err)
			}
			break
		}
		cuts++
		shut()
		disk.Reboot()
		shut = open(t, p, disk)
		if rows, err := p.sync("HOST/app:both\nHOST/b:"+tag, nil); err != nil || !slices.Contains(rows, "present app:both") {
			t.Fatalf("after a power cut at operation %d, %s: %q, %v", n, *op, rows, err)
		}
		if _, err := p.store.Verify(t.Context(), overlaystore.VerifyOptions{}); err != nil {
			t.Errorf("after a power cut at operation %d, %s: %v", n, *op, err)
		}
		if u, err := p.store.Usage(t.Context()); err != nil || len(u.Images) != 2 || u.Layers != 2 || u.Left != 0 {
			t.Errorf("after a power cut at operation %d, %s: %+v, %v", n, *op, u, err)
		}
	}
	t.Logf("%d power cuts", cuts)
}

// open opens the store and the cache on a disk, until shut.
func open(t *testing.T, p *place, disk *disktest.FS) (shut func()) {
	t.Helper()
	dir := filepath.Join(disk.Dir, "store")
	store, err := overlaystore.Open(t.Context(), dir, overlaystore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := cache.Open(context.WithoutCancel(t.Context()), filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	o := layerctl.Options{Cache: kept, Platform: "linux/amd64"}
	o.Registry.PlainHTTP, o.Registry.Retries = []string{p.host}, -1
	p.store, p.client = store, layerctl.New(o)
	return func() {
		if err := errors.Join(store.Close(), kept.Close()); err != nil {
			t.Error(err)
		}
	}
}
