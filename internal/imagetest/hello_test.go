// SPDX-License-Identifier: Apache-2.0

package imagetest

import (
	"os"
	"testing"
)

// The committed image must be what the program makes: nobody can review
// compressed blobs. What the index names is named by digest, so comparing
// every file of the committed layout says it all.
func TestHelloIsWhatTheProgramMakes(t *testing.T) {
	const committed = "../../testdata/images/hello"
	made := t.TempDir()
	Hello(made)
	if err := sameFiles(os.DirFS(made), os.DirFS(committed)); err != nil {
		t.Errorf("%s: %v; make it again with: go run ./internal/imagetest/hello", committed, err)
	}
	if err := sameFiles(os.DirFS(committed), os.DirFS(made)); err != nil {
		t.Errorf("%s: %v; make it again with: go run ./internal/imagetest/hello", committed, err)
	}
}
