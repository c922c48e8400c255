// SPDX-License-Identifier: Apache-2.0

package layer_test

import (
	"encoding/json"
	"fmt"

	"github.com/layerctl/layerctl/layer"
)

// A path of bytes that are no UTF-8 is legible in JSON, and comes back as it was.
func ExamplePath() {
	text, err := json.Marshal(layer.Path("caf\xe9/100%"))
	if err != nil {
		panic(err)
	}
	var back layer.Path
	if err := json.Unmarshal(text, &back); err != nil {
		panic(err)
	}
	fmt.Println(string(text), back == "caf\xe9/100%")
	// Output: "caf%E9/100%25" true
}

// The form of a store says which attribute marks an opaque directory.
func ExampleForm_Xattr() {
	fmt.Println(layer.Form{}.Xattr("opaque"))
	fmt.Println(layer.Form{Xattrs: layer.UserXattrs}.Xattr("opaque"))
	// Output:
	// trusted.overlay.opaque
	// user.overlay.opaque
}
