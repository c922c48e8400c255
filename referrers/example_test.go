// SPDX-License-Identifier: Apache-2.0

package referrers_test

import (
	"context"
	"fmt"

	"github.com/layerctl/layerctl/referrers"
	"github.com/layerctl/layerctl/registry"
)

func ExampleFinder_Of() {
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
	root, err := source.Describe(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := referrers.New(source, referrers.Options{}).Of(ctx, root.Digest, nil)
	fmt.Println(len(found), err)
	// Output:
	// 0 <nil>
}
