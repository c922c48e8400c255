// SPDX-License-Identifier: Apache-2.0

// Command erofsreader tells what github.com/erofs/go-erofs reads of indexes. It
// takes requests from its input and answers each on its output, as JSON, a value
// after the other; internal/layertest has the other side.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/erofs/go-erofs"
)

// request names an index and the files that it points into, in their order.
type request struct {
	Index   string
	Devices []string
}

type answer struct {
	Files []file
	Error string
}

// file is one path. What an image may say is bytes, for JSON has only text.
type file struct {
	Path     []byte
	Mode     uint32 // as in stat(2)
	UID, GID uint32
	Sec      int64
	Nsec     int64
	Size     int64
	Major    uint32
	Minor    uint32
	Ino      int64
	Nlink    int
	Link     []byte
	Sum      []byte // SHA-256 of the content, of up to 64 MiB
	Content  []byte // of up to 64 KiB
	Xattrs   [][2][]byte
}

const (
	mostSummed  = 64 << 20
	mostContent = 64 << 10
)

func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var r request
		err := in.Decode(&r)
		if errors.Is(err, io.EOF) {
			return
		}
		var a answer
		if err == nil {
			a.Files, err = read(r)
		}
		if err != nil {
			a.Error = err.Error()
		}
		if err := out.Encode(a); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func read(r request) ([]file, error) {
	index, err := os.Open(r.Index)
	if err != nil {
		return nil, err
	}
	defer index.Close()
	var devices []io.ReaderAt
	for _, d := range r.Devices {
		f, err := os.Open(d)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		devices = append(devices, f)
	}
	img, err := erofs.Open(index, erofs.WithExtraDevices(devices...))
	if err != nil {
		return nil, err
	}
	var t tree
	err = fs.WalkDir(img, ".", func(p string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = t.add(img, p)
		}
		return err
	})
	return t.files, err
}

// tree is what was read so far.
type tree struct{ files []file }

func (t *tree) add(img fs.FS, p string) error {
	info, err := fs.Lstat(img, p)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*erofs.Stat)
	if !ok {
		return fmt.Errorf("%q has no stat", p)
	}
	f := file{
		Path: []byte(p), Mode: unixMode(st.Mode), UID: st.UID, GID: st.GID, Sec: int64(st.Mtime), Nsec: int64(st.MtimeNs),
		Size: st.Size, Ino: st.Ino, Nlink: st.Nlink,
	}
	for name, value := range st.Xattrs {
		f.Xattrs = append(f.Xattrs, [2][]byte{[]byte(name), []byte(value)})
	}
	switch {
	case st.Mode&fs.ModeSymlink != 0:
		var target string
		target, err = fs.ReadLink(img, p)
		f.Link = []byte(target)
	case st.Mode&fs.ModeDevice != 0:
		// As the kernel's new_encode_dev.
		f.Major, f.Minor = st.Rdev>>8&0xfff, st.Rdev&0xff|st.Rdev>>12&0xfff00
	case st.Mode.IsRegular() && st.Size <= mostSummed:
		err = f.read(img, p)
	}
	t.files = append(t.files, f)
	return err
}

// read reads the content.
func (f *file) read(img fs.FS, p string) error {
	from, err := img.Open(p)
	if err != nil {
		return err
	}
	defer from.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, io.TeeReader(from, (*beginning)(f)))
	if err == nil && n != f.Size {
		err = fmt.Errorf("%q: read %d of %d bytes", p, n, f.Size)
	}
	f.Sum = sum.Sum(nil)
	return err
}

// beginning keeps what comes first of a content.
type beginning file

func (b *beginning) Write(p []byte) (int, error) {
	b.Content = append(b.Content, p[:min(len(p), mostContent-len(b.Content))]...)
	return len(p), nil
}

// unixMode is a mode as in stat(2).
func unixMode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	for _, b := range []struct {
		is   fs.FileMode
		bits uint32
	}{
		{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000},
		{fs.ModeDir, 0o040000}, {fs.ModeSymlink, 0o120000}, {fs.ModeNamedPipe, 0o010000}, {fs.ModeSocket, 0o140000},
	} {
		if m&b.is != 0 {
			bits |= b.bits
		}
	}
	switch {
	case m&fs.ModeCharDevice != 0:
		bits |= 0o020000
	case m&fs.ModeDevice != 0:
		bits |= 0o060000
	case m.IsRegular():
		bits |= 0o100000
	}
	return bits
}
