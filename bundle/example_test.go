// SPDX-License-Identifier: Apache-2.0

package bundle_test

import (
	"fmt"
	"log"
	"testing/fstest"

	"github.com/layerctl/layerctl/bundle"
)

// The user of an image's config is looked up in the image's own files.
func ExampleConvert() {
	config := []byte(`{"os": "linux", "architecture": "amd64", "config": {"User": "web", "Cmd": ["httpd", "-f"], "Env": ["LANG=C"]}}`)
	root := fstest.MapFS{
		"etc/passwd": {Data: []byte("web:x:33:34::/srv:/bin/false\n")},
		"etc/group":  {Data: []byte("www:x:34:\n")},
	}
	spec, notes, err := bundle.Convert(config, root, bundle.Options{Hostname: "web", ReadOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(spec.Process.Args, spec.Process.User.UID, spec.Process.User.GID)
	fmt.Println(spec.Hostname, spec.Root.Path, spec.Root.Readonly)
	fmt.Println(len(notes), "notes")
	// Output:
	// [httpd -f] 33 34
	// web rootfs true
	// 0 notes
}
