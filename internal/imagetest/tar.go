// SPDX-License-Identifier: Apache-2.0

// Package imagetest builds small container images for tests: tars, OCI
// layouts and the blobs in them, always the same bytes for the same input.
//
// It is for tests and for the program that makes testdata; no part of the
// product imports it. Its functions panic on misuse, as a test would.
package imagetest

import (
	"archive/tar"
	"bytes"
	"math/rand/v2"
	"os"
	"time"

	"github.com/klauspost/compress/gzip"
)

// ModTime is the time of every entry that names none: early enough to be no
// build's time, late enough to be no zero value.
var ModTime = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)

// Entry is one tar entry. A header without a Typeflag is a regular file, or a
// directory where the name ends in a slash; one without a Mode gets 0644 or
// 0755, one without a ModTime [ModTime].
type Entry struct {
	tar.Header
	Body string
}

// File is a regular file with mode 0644.
func File(name, body string) Entry { return Entry{Header: tar.Header{Name: name}, Body: body} }

// Dir is a directory with the given mode.
func Dir(name string, mode int64) Entry {
	return Entry{Header: tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: mode}}
}

// Symlink is a symbolic link.
func Symlink(name, target string) Entry {
	return Entry{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}}
}

// Hardlink is another name for target.
func Hardlink(name, target string) Entry {
	return Entry{Header: tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}}
}

// TarDir packs what is in a directory, as "tar -C dir -cf file ." does.
func TarDir(dir string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(w.AddFS(os.DirFS(dir)))
	must(w.Close())
	return b.Bytes()
}

// Tar writes the entries as one tar stream with its end marker.
func Tar(entries ...Entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := e.Header
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
			if n := len(h.Name); n > 0 && h.Name[n-1] == '/' {
				h.Typeflag = tar.TypeDir
			}
		}
		if h.Mode == 0 {
			h.Mode = 0o644
			if h.Typeflag == tar.TypeDir {
				h.Mode = 0o755
			}
		}
		if h.ModTime.IsZero() {
			h.ModTime = ModTime
		}
		h.Size = int64(len(e.Body))
		must(w.WriteHeader(&h))
		_, err := w.Write([]byte(e.Body))
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}

// Gzip compresses b. The library is one that go.mod pins, not the standard
// one, so that the bytes stay the same under another Go version.
func Gzip(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	must(err)
	must(w.Close())
	return out.Bytes()
}

func must(err error) {
	if err != nil {
		panic("imagetest: " + err.Error())
	}
}

// Noise is content of n bytes that does not compress, and always the same.
func Noise(n int) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return string(b)
}
