// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/unpack"
)

// Layers that share memory for paths are bounded together; one that fails gives
// back what it took.
func TestLayersSharePaths(t *testing.T) {
	var implied entries
	for i := range 500 {
		implied = append(implied, File(fmt.Sprintf("dir%d/f", i), ""))
	}
	good, bad := Tar(implied...), Tar(append(implied, File("../x", ""))...)
	o := unpack.Options{Paths: unpack.NewPaths(400 << 10)} // enough for one of them
	pull := func(blob []byte) error {
		return unpackWith(t.Context(), tempDir(t), bytes.NewReader(blob), o)
	}
	for range 3 {
		if err := pull(bad); !errors.Is(err, unpack.ErrMalformed) {
			t.Fatalf("error = %v, want ErrMalformed", err)
		}
	}
	if err := pull(good); err != nil {
		t.Fatal(err)
	}
	var limit *unpack.LimitError
	if err := pull(good); !errors.As(err, &limit) || limit.Limit != "recorded" || limit.Max != 400<<10 {
		t.Errorf("error of the second layer = %v, want a limit of 400 KiB", err)
	}
}
