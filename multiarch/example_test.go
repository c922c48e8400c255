// SPDX-License-Identifier: Apache-2.0

package multiarch_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/layerctl/layerctl/multiarch"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/transfer"
)

// Two images that were built one by one become an index in a layout.
func ExampleMake() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "index")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	client := registry.New(registry.Options{})
	parse := func(text string) registry.Reference {
		ref, err := registry.Parse(text)
		if err != nil {
			log.Fatal(err)
		}
		return ref
	}
	var members []multiarch.Member
	for _, arch := range []string{"amd64", "arm64"} { // built by two jobs
		one := parse("oci:" + filepath.Join(dir, arch) + ":1")
		if _, err := transfer.Copy(ctx, client, parse("oci:../testdata/images/hello:latest"), one, transfer.Options{Platforms: []string{"linux/" + arch}}); err != nil {
			log.Fatal(err)
		}
		members = append(members, multiarch.Member{Ref: one})
	}
	made, err := multiarch.Make(ctx, client, members, multiarch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range made.Entries {
		fmt.Println(platform.Format(*e.Platform))
	}
	done, err := transfer.Send(ctx, client, made.Documents, parse("oci:"+filepath.Join(dir, "both")+":1"), nil, transfer.Options{})
	fmt.Println(done.Manifests, done.Root.Digest == made.Descriptor.Digest, err)
	// Output:
	// linux/amd64
	// linux/arm64/v8
	// 3 true <nil>
}
