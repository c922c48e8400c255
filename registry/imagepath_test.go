// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCutPath(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"layout", "layout/image", "with:/colon"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	const hex = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, c := range []struct{ in, ref, path string }{
		{"alpine", "alpine", ""},
		{"alpine:3.20", "alpine:3.20", ""},
		{"alpine:/etc/os-release", "alpine", "/etc/os-release"},
		{"alpine:/", "alpine", "/"},
		{"alpine:3.20:/etc", "alpine:3.20", "/etc"},
		{"alpine@" + hex + ":/etc", "alpine@" + hex, "/etc"},
		{"alpine:3.20@" + hex + ":/etc", "alpine:3.20@" + hex, "/etc"},
		{"localhost:5000/team/app:/etc", "localhost:5000/team/app", "/etc"},
		{"localhost:5000/team/app:v1:/etc/a:/b", "localhost:5000/team/app:v1", "/etc/a:/b"},
		{"[::1]:5000/app:v1:/etc", "[::1]:5000/app:v1", "/etc"},
		{"docker://alpine:3.20:/etc", "docker://alpine:3.20", "/etc"},
		{"docker://localhost:5000/app", "docker://localhost:5000/app", ""},
		{"alpine:/a/../b//c:d@e", "alpine", "/a/../b//c:d@e"},
		{"oci:layout", "oci:layout", ""},
		{"oci:layout:/etc", "oci:layout", "/etc"},
		{"oci:layout:tag:/etc", "oci:layout:tag", "/etc"},
		{"oci:layout@" + hex + ":/etc", "oci:layout@" + hex, "/etc"},
		{"oci:" + dir + "/layout", "oci:" + dir + "/layout", ""},
		{"oci:" + dir + "/layout:v1:/a:/b", "oci:" + dir + "/layout:v1", "/a:/b"},
		{"oci:" + dir + "/with:/colon", "oci:" + dir + "/with:/colon", ""},
		{"oci:" + dir + "/with:/colon:tag:/etc", "oci:" + dir + "/with:/colon:tag", "/etc"},
		{"oci:/not/there:tag:/etc:/x", "oci:/not/there:tag", "/etc:/x"},
		{"oci-archive:/not/there.tar", "oci-archive:/not/there.tar", ""},
		{"oci-archive:/not/there.tar:/etc", "oci-archive:/not/there.tar", "/etc"},
		{"docker-archive:/not/there.tar:app:v1:/etc", "docker-archive:/not/there.tar:app:v1", "/etc"},
		{":/etc", "", "/etc"},
	} {
		ref, path, found := CutPath(c.in)
		if ref != c.ref || path != c.path || found != (c.path != "") {
			t.Errorf("%q: %q and %q (%v), want %q and %q", c.in, ref, path, found, c.ref, c.path)
		}
	}
}
