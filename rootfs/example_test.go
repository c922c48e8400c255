// SPDX-License-Identifier: Apache-2.0

package rootfs_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/rootfs"
)

func Example() {
	blob := imagetest.Tar(imagetest.File("etc/os-release", "ID=example\n"), imagetest.Symlink("lib", "usr/lib"))
	layer := rootfs.Layer{
		Layer: manifest.Layer{
			Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(blob), Size: int64(len(blob))},
			DiffID:     digest.FromBytes(blob),
		},
		Fetch: func(_ context.Context, use func(blob io.Reader) error) error { return use(bytes.NewReader(blob)) },
	}
	image, err := rootfs.Read(context.Background(), []rootfs.Layer{layer}, rootfs.Options{})
	if err != nil {
		log.Fatal(err)
	}
	err = fs.WalkDir(image, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			fmt.Println(d)
		}
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	content, err := fs.ReadFile(image, "etc/os-release")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(content))
	// Output:
	// d ./
	// d etc/
	// - os-release
	// L lib
	// ID=example
}
