// SPDX-License-Identifier: Apache-2.0

package overlaystore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/layerctl/layerctl/overlaystore"
)

// A store is made where there is none, unless it must exist.
func ExampleOpen() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "layerctl-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	_, err = overlaystore.Open(ctx, filepath.Join(dir, "store"), overlaystore.Options{Existing: true})
	fmt.Println(errors.Is(err, overlaystore.ErrNotFound))
	// Output: true
}
