// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"context"
	"errors"
	"testing"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/layer"
)

func TestBehind(t *testing.T) {
	tests := []struct {
		name  string
		sizes []int64
		more  bool // is asked for
		syncs int
		// shared says that the sync is somebody else's too.
		shared bool
	}{
		{"less", []int64{40, 59}, false, 0, false},
		{"as much", []int64{40, 60}, false, 1, false},
		{"counted anew", []int64{100, 99}, false, 1, false},
		{"nothing", nil, false, 0, false},
		{"less, asked for", []int64{40}, true, 1, false},
		{"nothing, asked for", nil, true, 0, false},
		{"as much, shared", []int64{40, 60}, false, 1, true},
		{"less, asked for, shared", []int64{40}, true, 1, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := disktest.OpenTemp(t)
			syncs := make(chan struct{}, 3)
			ctx := durable.WithFault(t.Context(), func(op string) error {
				syncs <- struct{}{}
				return durable.ErrLeaveOut
			})
			own := durable.NewSyncs(dir)
			b := &behind{every: 100, sync: own.Sync, own: own}
			if test.shared {
				b.own = nil
				b.sync = func(ctx context.Context) error { return errors.Join(ctx.Err(), durable.SyncFS(ctx, dir)) }
			}
			unpacking, unpacked := context.WithCancel(ctx)
			entries := 0
			record := b.counting(unpacking, func(layer.Entry) error {
				entries++
				return nil
			})
			for _, size := range test.sizes {
				if err := record(layer.Entry{Type: layer.Regular, Size: size}); err != nil {
					t.Fatal(err)
				}
			}
			unpacked()
			if test.more {
				b.more(ctx)
			}
			if err := b.end(ctx); err != nil {
				t.Fatal(err)
			}
			if len(syncs) != test.syncs || entries != len(test.sizes) {
				t.Errorf("%d syncs, %d entries", len(syncs), entries)
			}
		})
	}
	var none *behind
	none.add(t.Context(), 1<<40)
	none.more(t.Context())
	if err := none.end(t.Context()); err != nil {
		t.Error(err)
	}
}
