// SPDX-License-Identifier: Apache-2.0

package containersstorage_test

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/engine/containersstorage"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
)

// An image of a store becomes one that podman lists, and what the store has no
// more goes there too.
func Example() {
	var manifest, config []byte // of the image, from where it was pulled
	ctx := context.Background()
	store, err := overlaystore.Open(ctx, "/var/lib/layerctl", overlaystore.Options{Existing: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	to, err := containersstorage.Open(ctx, "/var/lib/layerctl/engines/containers-storage", containersstorage.Options{
		GraphRoots: []string{"/var/lib/containers/storage"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer to.Close()
	const name = "docker.io/library/alpine:3.20"
	image, err := store.Lookup(name, platform.Wanted{})
	if err != nil {
		fmt.Println(err)
		return
	}
	given, err := to.Give(ctx, store, containersstorage.Image{Image: image, Names: []string{name}, Manifest: manifest, Config: config})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("podman run", given.ID)
	taken, err := to.Prune(ctx, func(manifest digest.Digest) bool {
		_, err := store.Image(manifest)
		return err == nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("removed", len(taken.Images))
}
