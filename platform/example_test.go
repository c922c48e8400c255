// SPDX-License-Identifier: Apache-2.0

package platform_test

import (
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/platform"
)

func Example() {
	entries := []ocispec.Descriptor{
		{MediaType: ocispec.MediaTypeImageManifest, Platform: &ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}},
		{MediaType: ocispec.MediaTypeImageManifest, Platform: &ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v5"}},
	}
	p, err := platform.Parse("linux/arm/v6")
	if err != nil {
		fmt.Println(err)
		return
	}
	choice, err := platform.Choose(platform.Want(p), entries)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("chosen:", platform.Format(*choice.Descriptor.Platform))
	for _, v := range choice.Verdicts {
		fmt.Println(platform.Format(*v.Descriptor.Platform), v.Accepted, v.Reason)
	}
	// Output:
	// chosen: linux/arm/v5
	// linux/arm/v7 false needs ARMv7, and what was asked for is ARMv6
	// linux/arm/v5 true ARMv5 code runs on ARMv6
}
