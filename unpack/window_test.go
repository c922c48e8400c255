// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
)

const mib = 1 << 20

// singleSegment is one whose window is as large as it says its content is.
func singleSegment(size uint32, data []byte) []byte {
	frame := binary.LittleEndian.AppendUint32([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0}, size)
	return AppendBlocks(frame, data)
}

func TestWindows(t *testing.T) {
	tar := Tar(File("a", strings.Repeat("content ", 1000)))
	long := slices.Concat(tar, make([]byte, 9*mib))
	skippable := []byte("\x50\x2a\x4d\x18\x03\x00\x00\x00abc")
	far := slices.Concat([]byte("\x51\x2a\x4d\x18\x00\x20\x00\x00"), make([]byte, 8192))
	tests := []struct {
		name    string
		blob    []byte
		windows *unpack.Windows
		limit   int64 // of the error, where there is one
		asked   int64
		says    string // of another error
	}{
		{name: "8 MiB are always there", blob: StoredZstd(23, tar), windows: unpack.NewWindows(0)},
		{name: "16 MiB and nothing", blob: StoredZstd(24, tar), windows: unpack.NewWindows(0), limit: 8 * mib, asked: 16 * mib},
		{name: "16 MiB and too little", blob: StoredZstd(24, tar), windows: unpack.NewWindows(8*mib - 1), limit: 16*mib - 1, asked: 16 * mib},
		{name: "16 MiB and just enough", blob: StoredZstd(24, tar), windows: unpack.NewWindows(8 * mib)},
		{name: "128 MiB without a bound", blob: StoredZstd(27, tar)},
		{name: "128 MiB and more memory than that", blob: StoredZstd(27, tar), windows: unpack.NewWindows(1 << 40)},
		{name: "256 MiB and more memory than that", blob: StoredZstd(28, tar), windows: unpack.NewWindows(1 << 40), limit: 128 * mib, asked: 256 * mib},
		{name: "less than nothing", blob: StoredZstd(24, tar), windows: unpack.NewWindows(-1), limit: 8 * mib, asked: 16 * mib},
		{name: "the largest that can be asked for", blob: StoredZstd(41, tar), limit: 128 * mib, asked: 1 << 41},
		{name: "a single segment", blob: singleSegment(uint32(len(tar)), tar), windows: unpack.NewWindows(0)},
		{name: "a single segment of 9 MiB", blob: singleSegment(uint32(len(long)), long), windows: unpack.NewWindows(0), limit: 8 * mib, asked: int64(len(long))},
		{name: "a single segment of 9 MiB with memory", blob: singleSegment(uint32(len(long)), long), windows: unpack.NewWindows(2 * mib)},
		{name: "after a skippable frame", blob: slices.Concat(skippable, StoredZstd(24, tar)), windows: unpack.NewWindows(0), limit: 8 * mib, asked: 16 * mib},
		{name: "too far behind a skippable frame", blob: slices.Concat(far, StoredZstd(24, tar)), windows: unpack.NewWindows(8 * mib)},
		{name: "too far behind one, and too large", blob: slices.Concat(far, StoredZstd(24, tar)), windows: unpack.NewWindows(mib), says: "larger than the window of 9437184 bytes"},
		{name: "a second frame of 8 MiB", blob: slices.Concat(StoredZstd(10, tar[:512]), StoredZstd(23, tar[512:])), windows: unpack.NewWindows(0)},
		{name: "a second frame of 16 MiB", blob: slices.Concat(StoredZstd(23, tar[:512]), StoredZstd(24, tar[512:])), windows: unpack.NewWindows(64 * mib), says: "larger than the window of 8388608 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := unpackWith(t.Context(), tempDir(t), bytes.NewReader(tt.blob), unpack.Options{Windows: tt.windows})
			var limit *unpack.LimitError
			switch {
			case tt.limit != 0:
				if !errors.As(err, &limit) || limit.Limit != "window" || limit.Max != tt.limit || limit.Asked != tt.asked {
					t.Errorf("error = %v, want a limit of %d for a window of %d", err, tt.limit, tt.asked)
				}
			case tt.says != "":
				if !errors.Is(err, unpack.ErrMalformed) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("error = %v, want one that says %q", err, tt.says)
				}
			case err != nil:
				t.Error(err)
			}
		})
	}
}

// Layers whose windows do not fit at once are unpacked one after the other.
func TestLayersWaitForAWindow(t *testing.T) {
	windows := unpack.NewWindows(8 * mib)
	body := strings.Repeat("content ", 1000)
	begun := make(chan struct{}, 10)
	start := func(ctx context.Context, r io.Reader) chan error {
		done := make(chan error, 1)
		dir := tempDir(t)
		o := unpack.Options{Windows: windows, Record: func(layer.Entry) error { begun <- struct{}{}; return nil }}
		go func() { done <- unpackWith(ctx, dir, r, o) }()
		return done
	}
	in, out := io.Pipe()
	first := start(t.Context(), in)
	// Blocks are decoded whole: the first file is in one of its own.
	blob := slices.Concat(StoredZstd(24, Tar(File("a", body))[:512+8192]), StoredZstd(24, Tar(File("b", body))))
	half := len(blob) / 2
	if _, err := out.Write(blob[:half]); err != nil {
		t.Fatal(err)
	}
	<-begun
	second := start(t.Context(), bytes.NewReader(blob))
	ctx, cancel := context.WithCancel(t.Context())
	third := start(ctx, bytes.NewReader(blob))
	cancel()
	if err := <-third; !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
	small := start(t.Context(), bytes.NewReader(StoredZstd(23, Tar())))
	if err := <-small; err != nil {
		t.Errorf("a layer with a small window: %v", err)
	}
	select {
	case err := <-second:
		t.Errorf("the second layer did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := out.Write(blob[half:]); err != nil {
		t.Fatal(err)
	}
	out.Close()
	for _, done := range []chan error{first, second} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
