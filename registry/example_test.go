// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"fmt"
	"io"
	"log"

	"github.com/layerctl/layerctl/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func Example() {
	ctx := context.Background()
	ref, err := registry.Parse("oci:../testdata/images/hello:latest") // or "alpine:3.20"
	if err != nil {
		log.Fatal(err)
	}
	source, err := registry.New(registry.Options{}).Open(ctx, ref)
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	desc, raw, err := source.Root(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(desc.MediaType, digest.FromBytes(raw) == desc.Digest)
	// Output: application/vnd.oci.image.index.v1+json true
}

// A stream ends with io.EOF only if it was what the descriptor says.
func ExampleSource_Blob() {
	ctx := context.Background()
	ref, err := registry.Parse("oci:../testdata/images/hello:latest")
	if err != nil {
		log.Fatal(err)
	}
	source, err := registry.New(registry.Options{}).Open(ctx, ref)
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	desc, err := source.Describe(ctx)
	if err != nil {
		log.Fatal(err)
	}
	blob, err := source.Blob(ctx, desc)
	if err != nil {
		log.Fatal(err)
	}
	defer blob.Close()
	n, err := io.Copy(io.Discard, blob)
	fmt.Println(n == desc.Size, err)

	wrong := ocispec.Descriptor{Digest: digest.FromString("else"), Size: 4}
	_, err = source.Blob(ctx, wrong)
	fmt.Println(err != nil)
	// Output:
	// true <nil>
	// true
}

func ExampleParse() {
	for _, text := range []string{"alpine", "quay.io/podman/hello:latest", "oci:/srv/images/hello:v1"} {
		ref, err := registry.Parse(text)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(ref)
	}
	// Output:
	// docker.io/library/alpine:latest
	// quay.io/podman/hello:latest
	// oci:/srv/images/hello:v1
}
