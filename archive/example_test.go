// SPDX-License-Identifier: Apache-2.0

package archive_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/archive"
	"github.com/layerctl/layerctl/layer"
)

// one is where the only blob of an image is.
type one string

func (o one) Blob(context.Context, ocispec.Descriptor) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(o))), nil
}

func describe(mediaType, content string) archive.Document {
	return archive.Document{
		Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(content), Size: int64(len(content))},
		Raw:        []byte(content),
	}
}

func ExampleWriteOCI() {
	blob := "a layer, as it is compressed"
	image := archive.Image{
		Manifest: describe(ocispec.MediaTypeImageManifest, "the manifest"),
		Config:   describe(ocispec.MediaTypeImageConfig, "the config"),
		Layers:   []ocispec.Descriptor{describe(ocispec.MediaTypeImageLayerGzip, blob).Descriptor},
	}
	contents := archive.Contents{Root: image.Manifest.Descriptor, Images: []archive.Image{image}}
	var out bytes.Buffer
	err := archive.WriteOCI(context.Background(), &out, one(blob), contents, archive.Options{Name: "docker.io/library/app:1", Tag: "1"})
	if err != nil {
		log.Fatal(err)
	}
	for r := tar.NewReader(&out); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		if path, hex, found := strings.Cut(h.Name, "sha256/"); found && hex != "" {
			fmt.Println(path+"sha256/…", h.Size)
			continue
		}
		fmt.Println(h.Name)
	}
	// Output:
	// oci-layout
	// index.json
	// manifest.json
	// blobs/
	// blobs/sha256/
	// blobs/sha256/… 12
	// blobs/sha256/… 10
	// blobs/sha256/… 28
}

func ExampleTreeWriter() {
	var out bytes.Buffer
	w := archive.NewTreeWriter(&out, archive.TreeOptions{Owner: &archive.Owner{UID: 1000, GID: 1000}})
	for _, e := range []layer.Entry{
		{Path: "etc", Type: layer.Directory, Mode: 0o755},
		{Path: "etc/link", Type: layer.Symlink, Linkname: "passwd"},
	} {
		if err := w.Write(e, nil); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	for r := tar.NewReader(&out); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		fmt.Printf("%d %s %q\n", h.Uid, h.Name, h.Linkname)
	}
	// Output:
	// 1000 etc/ ""
	// 1000 etc/link "passwd"
}
