// SPDX-License-Identifier: Apache-2.0

package containerd_test

import (
	"context"
	"fmt"

	"github.com/layerctl/layerctl/engine/containerd"
	"github.com/layerctl/layerctl/overlaystore"
)

// What is in the store becomes an image of containerd's: image has its record,
// and the documents that layerctl.Client.Documents reads.
func ExampleEngine_Give() {
	_ = func(ctx context.Context, store *overlaystore.Store, image containerd.Image) error {
		engine, err := containerd.Connect(ctx, containerd.Options{})
		if err != nil {
			return err
		}
		defer engine.Close()
		image.Names = []string{"docker.io/library/alpine:3.20"}
		given, err := engine.Give(ctx, store, image, containerd.GiveOptions{})
		if err != nil {
			return err
		}
		fmt.Printf("%d of %d layers are new in %s\n", given.Made, given.Layers, engine.Namespace())
		return nil
	}
}
