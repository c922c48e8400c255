// SPDX-License-Identifier: Apache-2.0

package rootfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/rootfs"
	"github.com/layerctl/layerctl/unpack"
)

// A listing keeps paths in the memory that windows come from, and gives it back.
func TestPathsBesideWindows(t *testing.T) {
	// Its attributes, which are kept, take more than paths always have.
	value := strings.Repeat("a", 60<<10)
	var entries []Entry
	for i := range 200 {
		e := File(fmt.Sprintf("f%d", i), "")
		e.Header.PAXRecords = map[string]string{"SCHILY.xattr.user.a": value}
		entries = append(entries, e)
	}
	lower, upper := Tar(entries...), Tar(File("z", ""))
	layerOf := func(tar, blob []byte) rootfs.Layer {
		return rootfs.Layer{
			Layer: manifest.Layer{
				Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerZstd, Digest: digest.FromBytes(blob), Size: int64(len(blob))},
				DiffID:     digest.FromBytes(tar),
			},
			Fetch: func(_ context.Context, use func(io.Reader) error) error { return use(bytes.NewReader(blob)) },
		}
	}
	small, large := layerOf(lower, StoredZstd(20, lower)), layerOf(upper, StoredZstd(24, upper))
	o := rootfs.Options{Jobs: 1, Windows: unpack.NewWindows(8 << 20)}
	for range 2 { // what the first kept is free again
		if _, err := rootfs.Read(t.Context(), []rootfs.Layer{large, small}, o); err != nil {
			t.Fatalf("a window, and then paths: %v", err)
		}
	}
	var limit *unpack.LimitError
	if _, err := rootfs.Read(t.Context(), []rootfs.Layer{small, large}, o); !errors.As(err, &limit) || limit.Limit != "window" {
		t.Errorf("paths, and then a window: %v, want a limit of windows", err)
	}
}
