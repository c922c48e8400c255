// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
)

// TestReadIsLikeUnpacking reads the layers of random stacks and unpacks them,
// and compares what each says of a layer, record by record.
func TestReadIsLikeUnpacking(t *testing.T) {
	for seed := range stacks() / 2 {
		layers, _ := stack(seed)
		for i, layer := range layers {
			blob := imagetest.Tar(layer...)
			var made, read journal
			want, err := unpackInto(t, blob, made.record)
			if err != nil {
				t.Fatalf("seed %d: unpack: %v", seed, err)
			}
			got, err := unpack.Read(t.Context(), bytes.NewReader(blob), unpack.Source{}, unpack.ReadOptions{Record: read.record})
			if err != nil {
				t.Fatalf("seed %d: read: %v", seed, err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("seed %d: layer %d: result = %+v, want %+v", seed, i+1, got, want)
			}
			if g, w := read.ordered(), made.ordered(); !slices.Equal(g, w) {
				t.Errorf("seed %d: layer %d: journal = %q, want %q\n%s", seed, i+1, g, w, tell(layers))
			}
		}
	}
}

func unpackInto(t *testing.T, blob []byte, record func(layer.Entry) error) (unpack.Result, error) {
	t.Helper()
	dir, err := os.Open(tempDir(t))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	o := unpack.Options{Record: record}
	if os.Geteuid() != 0 {
		o.IDs, o.Xattrs = layer.SquashedIDs, layer.UserXattrs
	}
	return unpack.Layer(t.Context(), dir, bytes.NewReader(blob), unpack.Source{}, o)
}

// journal is records as text.
type journal struct{ lines []string }

func (j *journal) record(e layer.Entry) error {
	j.lines = append(j.lines, fmt.Sprintf("%c %+v", e.Type, e))
	return nil
}

// ordered has whiteouts that are removed one after the other, from one
// directory, in the order of their names: a filesystem has another.
func (j *journal) ordered() []string {
	for i := 0; i < len(j.lines); {
		n := i
		for n < len(j.lines) && j.lines[n][0] == byte(layer.Removed) {
			n++
		}
		slices.Sort(j.lines[i:n])
		i = max(n, i+1)
	}
	return j.lines
}
