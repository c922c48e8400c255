// SPDX-License-Identifier: Apache-2.0

package layerctl_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/overlaystore"
)

func ExampleClient_Resolve() {
	client := layerctl.New(layerctl.Options{Platform: "linux/arm/v7"})
	r, err := client.Resolve(context.Background(), "oci:testdata/images/hello")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Manifest.Platform.Architecture, r.Manifest.Platform.Variant)
	for _, v := range r.Choice.Verdicts {
		fmt.Println(v.Accepted, v.Reason)
	}
	// Output:
	// arm v7
	// true ARMv5 code runs on ARMv7
	// true ARMv6 code runs on ARMv7
	// true is what was asked for
	// false is for arm64
	// false is for amd64
}

func ExampleClient_Pull() {
	dir, err := os.MkdirTemp("", "layerctl-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	store, err := overlaystore.Open(ctx, dir+"/store", overlaystore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	client := layerctl.New(layerctl.Options{Platform: "linux/amd64"})
	pulled, err := client.Pull(ctx, store, "oci:testdata/images/hello")
	if err != nil {
		log.Fatal(err)
	}
	again, err := client.Pull(ctx, store, "oci:testdata/images/hello")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(pulled.Fetched == len(pulled.Image.Layers), again.Fetched)
	// Output: true 0
}
