// SPDX-License-Identifier: Apache-2.0

package cache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/layerctl/layerctl/cache"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "cache-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	c, err := cache.Open(ctx, dir)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	desc := ocispec.Descriptor{Digest: digest.FromString("hello"), Size: 5}
	_, err = c.Blob(desc)
	fmt.Println(errors.Is(err, cache.ErrMiss))

	// What is read to its end is kept.
	stream := c.Keep(ctx, desc, io.NopCloser(strings.NewReader("hello")))
	if _, err := io.Copy(io.Discard, stream); err != nil {
		log.Fatal(err)
	}
	fmt.Println(cache.Kept(stream), stream.Close())
	raw, err := c.Bytes(desc, 1<<20)
	fmt.Println(string(raw), err)
	// Output:
	// true
	// <nil> <nil>
	// hello <nil>
}
