// SPDX-License-Identifier: Apache-2.0

package inspect_test

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/inspect"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

func ExampleRead() {
	ref, err := registry.Parse("oci:../testdata/images/hello")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	source, err := registry.New(registry.Options{}).Open(ctx, ref)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()
	wanted := platform.Want(ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"})
	found, err := inspect.Read(ctx, source, wanted, inspect.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range found.Manifests {
		fmt.Println(m.Kind, m.Platform, m.Chosen)
	}
	// Output:
	// image linux/arm/v5 false
	// image linux/arm/v6 false
	// image linux/arm/v7 true
	// image linux/arm64/v8 false
	// image linux/amd64 false
}
