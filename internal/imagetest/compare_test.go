// SPDX-License-Identifier: Apache-2.0

package imagetest

import (
	"bytes"
	"fmt"
	"io/fs"
)

// sameFiles reports the first regular file of a that b lacks or has otherwise.
func sameFiles(a, b fs.FS) error {
	return fs.WalkDir(a, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		want, err := fs.ReadFile(a, p)
		if err != nil {
			return err
		}
		got, err := fs.ReadFile(b, p)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s differs", p)
		}
		return nil
	})
}
