// SPDX-License-Identifier: Apache-2.0

// Command hello makes testdata/images/hello again, from the repository's root:
//
//	go run ./internal/imagetest/hello
package main

import (
	"log"
	"os"

	"github.com/layerctl/layerctl/internal/imagetest"
)

const dir = "testdata/images/hello"

func main() {
	if err := os.RemoveAll(dir); err != nil {
		log.Fatal(err)
	}
	imagetest.Hello(dir)
}
