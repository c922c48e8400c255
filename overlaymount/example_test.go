// SPDX-License-Identifier: Apache-2.0

package overlaymount_test

import (
	"fmt"

	"github.com/layerctl/layerctl/overlaymount"
)

// Ids of the image from 0 on show as those from 100000 on.
func ExampleParseIDMap() {
	list, err := overlaymount.ParseIDMap("0:100000:65536")
	fmt.Println(list, err)
	// Output: [0:100000:65536] <nil>
}
