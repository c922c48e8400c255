// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
)

// exampleLayer is a layer that adds a file and deletes another one.
func exampleLayer() []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range []tar.Header{
		{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "etc/motd", Typeflag: tar.TypeReg, Mode: 0o644, Size: 6},
		{Name: "etc/.wh.issue", Typeflag: tar.TypeReg},
	} {
		if err := w.WriteHeader(&h); err != nil {
			log.Fatal(err)
		}
		if h.Size > 0 {
			_, _ = io.WriteString(w, "hello\n")
		}
	}
	_, _ = w.Close(), z.Close()
	return b.Bytes()
}

// Unpack a layer as any user: everything belongs to the caller, and the journal
// has the rest.
func ExampleLayer() {
	path, err := os.MkdirTemp("", "layer")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(path)
	dir, err := os.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer dir.Close()
	result, err := unpack.Layer(context.Background(), dir, bytes.NewReader(exampleLayer()), unpack.Source{
		MediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
	}, unpack.Options{
		Form: layer.Form{Whiteouts: layer.JournalOnly, Xattrs: layer.UserXattrs, IDs: layer.RecordedIDs},
	})
	if err != nil {
		log.Fatal(err)
	}
	motd, err := os.ReadFile(path + "/etc/motd")
	fmt.Printf("%d entries, whiteouts in %v, motd: %s", result.Entries, result.WhiteoutParents, motd)
	if err != nil {
		log.Fatal(err)
	}
	// Output: 3 entries, whiteouts in [etc], motd: hello
}

// Read a layer's journal without a disk.
func ExampleRead() {
	_, err := unpack.Read(context.Background(), bytes.NewReader(exampleLayer()), unpack.Source{}, unpack.ReadOptions{
		Record: func(e layer.Entry) error {
			if !e.Implied {
				fmt.Printf("%c %s\n", e.Type, e.Path)
			}
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// d etc
	// f etc/motd
	// w etc/issue
}
