// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"context"
	"fmt"
	"log"

	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/trust"
)

func Example() {
	policy, err := trust.ReadFile("testdata/policy.json")
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"docker.io/library/alpine:3.20", "example.com/stolen:1"} {
		ref, err := registry.Parse(name)
		if err != nil {
			log.Fatal(err)
		}
		_, err = policy.Judge(context.Background(), trust.Image{Reference: ref})
		fmt.Println(name, err)
	}
	// Output:
	// docker.io/library/alpine:3.20 <nil>
	// example.com/stolen:1 policy testdata/policy.json, line 2 (default): it rejects every image
}
