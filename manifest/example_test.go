// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"fmt"

	"github.com/layerctl/layerctl/manifest"
)

func Example() {
	raw := []byte(`{
		"schemaVersion": 2,
		"config": {
			"mediaType": "application/vnd.cncf.helm.config.v1+json",
			"digest": "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			"size": 7
		},
		"layers": []
	}`)
	kind, err := manifest.Classify("", raw)
	fmt.Println(kind, err)
	_, err = manifest.ParseImage(raw, "")
	fmt.Println(err)
	// Output:
	// artifact <nil>
	// parse manifest: is no image but: Helm chart ("application/vnd.cncf.helm.config.v1+json")
}
