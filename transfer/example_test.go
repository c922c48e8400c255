// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/transfer"
)

// One platform of an index, from a layout to an archive.
func ExampleCopy() {
	dir, err := os.MkdirTemp("", "copy")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	from, err := registry.Parse("oci:../testdata/images/hello:latest") // or "alpine:3.20"
	if err != nil {
		log.Fatal(err)
	}
	to, err := registry.Parse("oci-archive:" + filepath.Join(dir, "hello.tar:1"))
	if err != nil {
		log.Fatal(err)
	}
	options := transfer.Options{Platforms: []string{"linux/arm/v7"}}
	for range 2 {
		done, err := transfer.Copy(context.Background(), registry.New(registry.Options{}), from, to, options)
		fmt.Println(done.Sent, done.Present, err)
	}
	// Output:
	// 4 0 <nil>
	// 0 4 <nil>
}
