// SPDX-License-Identifier: Apache-2.0

package fetch

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/layer"
)

// A second try tells of nothing that the first one had.
func TestProgressNeverGoesBack(t *testing.T) {
	var told []int64
	high := int64(0)
	for _, content := range []string{"abc", "abcde"} {
		b := &Blob{stream: io.NopCloser(iotest.OneByteReader(strings.NewReader(content))), high: &high, report: func(n int64) { told = append(told, n) }}
		if _, err := io.Copy(io.Discard, b); err != nil {
			t.Fatal(err)
		}
	}
	if want := []int64{1, 2, 3, 4, 5}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

func TestFullDiskTellsWhatALayerNeeds(t *testing.T) {
	made := &usage{next: func(layer.Entry) error { return nil }}
	for range 10 {
		if err := made.record(layer.Entry{Type: layer.Regular, Size: 100}); err != nil {
			t.Fatal(err)
		}
	}
	full := fmt.Errorf("write: %w", unix.ENOSPC)
	err := made.explain(full, 50, 200)
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "needs more than 4000 bytes and 40 inodes") {
		t.Errorf("error %v", err)
	}
	if other := errors.New("other"); made.explain(other, 50, 200) != other {
		t.Error("another error was changed")
	}
	if got := made.explain(full, 0, 200); got != full {
		t.Errorf("before the first byte: %v", got)
	}
}
