// SPDX-License-Identifier: Apache-2.0

package pull

import (
	"testing"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/layer"
)

func TestBehind(t *testing.T) {
	tests := []struct {
		name  string
		sizes []int64
		more  bool // is asked for
		syncs int
	}{
		{"less", []int64{40, 59}, false, 0},
		{"as much", []int64{40, 60}, false, 1},
		{"counted anew", []int64{100, 99}, false, 1},
		{"nothing", nil, false, 0},
		{"less, asked for", []int64{40}, true, 1},
		{"nothing, asked for", nil, true, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir, err := durable.OpenDir(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			syncs := make(chan struct{}, 3)
			ctx := durable.WithFault(t.Context(), func(op string) error {
				syncs <- struct{}{}
				return durable.ErrLeaveOut
			})
			b := &behind{every: 100, dir: dir}
			entries := 0
			record := b.counting(ctx, func(layer.Entry) error {
				entries++
				return nil
			})
			for _, size := range test.sizes {
				if err := record(layer.Entry{Type: layer.Regular, Size: size}); err != nil {
					t.Fatal(err)
				}
			}
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
