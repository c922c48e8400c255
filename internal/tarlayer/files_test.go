// SPDX-License-Identifier: Apache-2.0

package tarlayer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/storedirs"
)

// Of few layers each is asked for, and of many there is one listing: the paths
// are the same.
func TestFiles(t *testing.T) {
	for _, many := range []int{3, 100} {
		top := t.TempDir()
		root, err := os.Open(top)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		var layers []digest.Digest
		var want []string
		for i := range many {
			layers = append(layers, digest.FromString(strconv.Itoa(i)))
			dir := storedirs.Layers
			if i == 1 {
				dir = storedirs.Unsynced + "/boot"
			}
			want = append(want, dir+"/"+layers[i].Encoded()+"/"+fileName)
			path := filepath.Join(top, want[i])
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		got, err := Files(root, append(layers, layers[0]), "boot")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("of %d: got %q, %v, want %q", many, got, err, want)
		}
		if _, err := Files(root, layers, "another"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("of %d, one of another boot: %v", many, err)
		}
	}
}
