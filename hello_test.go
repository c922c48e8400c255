// SPDX-License-Identifier: Apache-2.0

package layerctl_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/layerctl/layerctl/internal/imagetest"
)

// The committed image must be what the program makes: nobody can review
// compressed blobs. What the index names is named by digest, so comparing
// every file of the committed layout says it all.
func TestHelloIsWhatTheProgramMakes(t *testing.T) {
	const committed = "testdata/images/hello"
	made := t.TempDir()
	imagetest.Hello(made)
	if err := sameFiles(os.DirFS(made), os.DirFS(committed)); err != nil {
		t.Errorf("%s: %v; make it again with: go run ./internal/imagetest/hello", committed, err)
	}
	if err := sameFiles(os.DirFS(committed), os.DirFS(made)); err != nil {
		t.Errorf("%s: %v; make it again with: go run ./internal/imagetest/hello", committed, err)
	}
}

// sameFiles reports the first regular file of a that b lacks or has otherwise.
func sameFiles(a, b fs.FS) error {
	return fs.WalkDir(a, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		want, err := fs.ReadFile(a, p)
		if err != nil {
			return err
		}
		got, err := fs.ReadFile(b, p)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s differs", p)
		}
		return nil
	})
}
