// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
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

// What a registry has is not sent again.
func ExampleDestination() {
	ctx := context.Background()
	server := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	ref, err := registry.Parse(host + "/app:1")
	if err != nil {
		log.Fatal(err)
	}
	to, err := registry.New(registry.Options{PlainHTTP: []string{host}}).Destination(ref)
	if err != nil {
		log.Fatal(err)
	}
	text := "{}"
	config := registry.Upload{
		Descriptor: ocispec.Descriptor{MediaType: "application/vnd.oci.empty.v1+json", Digest: digest.FromString(text), Size: 2},
		Open:       func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
	}
	for range 2 {
		done, err := to.Put(ctx, config)
		fmt.Println(done == registry.Sent, done == registry.Present, err)
	}
	raw := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	index := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if _, err := to.PutManifest(ctx, index, raw, ref.Tag()); err != nil {
		log.Fatal(err)
	}
	there, err := to.Describe(ctx, ref.Tag())
	fmt.Println(there.Digest == index.Digest, err)
	// Output:
	// true false <nil>
	// false true <nil>
	// true <nil>
}
