// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/archive"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/overlaystore"
)

// tarred writes the flat tar of the layers, from the store and without one,
// and lists it, in the lines of [model.listing].
func (b *bench) tarred(layers [][]imagetest.Entry) ([]string, []byte, error) {
	work, err := os.MkdirTemp(b.dir, "tarred-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(work)
	ref := inLayout(work, layers)
	var stored, fetched bytes.Buffer
	for to, from := range map[*bytes.Buffer]*overlaystore.Store{&stored: b.store, &fetched: nil} {
		o := ExportOptions{Format: Tar, Store: from}
		if _, err := New(Options{Platform: "linux/amd64"}).Export(b.Context(), ref, to, o); err != nil {
			return nil, nil, err
		}
	}
	if !bytes.Equal(stored.Bytes(), fetched.Bytes()) {
		return nil, nil, errors.New("what comes from the store is not what is fetched")
	}
	lines, err := listTar(stored.Bytes())
	return lines, stored.Bytes(), err
}

// listTar lists a tar that has each path once, a directory before what is in
// it, and a file before the other names of it.
func listTar(raw []byte) ([]string, error) {
	var lines []string
	seen := map[string]*inode{}
	names := map[*inode][]string{}
	r := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return append(lines, groupLines(slices.Collect(maps.Values(names)))...), nil
		}
		if err != nil {
			return nil, err
		}
		name := path.Clean(h.Name)
		if seen[name] != nil || name != "." && !seen[path.Dir(name)].isDir() {
			return nil, fmt.Errorf("%q comes twice, or before its directory", h.Name)
		}
		n, err := tarInode(r, h, seen)
		if err != nil {
			return nil, err
		}
		if seen[name] = n; !n.isDir() {
			names[n] = append(names[n], name)
		}
		lines = append(lines, describeLine(name, n))
	}
}

func tarInode(r io.Reader, h *tar.Header, seen map[string]*inode) (*inode, error) {
	if h.Typeflag == tar.TypeLink {
		if seen[h.Linkname] == nil {
			return nil, fmt.Errorf("%q is a link to %q, which comes later", h.Name, h.Linkname)
		}
		return seen[h.Linkname], nil
	}
	content, err := io.ReadAll(r)
	n := &inode{
		typeflag: h.Typeflag, mode: h.Mode, uid: h.Uid, gid: h.Gid, modTime: h.ModTime,
		xattrs: map[string]string{}, content: string(content) + h.Linkname,
	}
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
			n.xattrs[name] = value
		}
	}
	return n, err
}

// extracted lists what GNU tar makes of a tar.
func (b *bench) extracted(raw []byte) ([]string, error) {
	dir, err := os.MkdirTemp(b.dir, "extracted-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(b.Context(), "tar", "-x", "-p", "--same-owner", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C", dir)
	cmd.Stdin = bytes.NewReader(raw)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("tar: %w: %s", err, out)
	}
	return listTree(b.T, dir), nil
}

// odd is an image with what random stacks do not have.
func odd(t *testing.T) *cached {
	t.Helper()
	s := newCached(t, Options{Platform: "linux/amd64"})
	lower := imagetest.Tar(
		imagetest.Dir("d/", 0o1777),
		imagetest.Entry{Header: tar.Header{Format: tar.FormatPAX, Name: "d/f", Mode: 0o4755, Uid: 1234, Gid: 3000000, ModTime: time.Unix(1500000000, 123456789)}, Body: "content"},
		imagetest.Entry{Header: tar.Header{Name: strings.Repeat("long/", 60) + "name", Mode: 0o644, ModTime: time.Unix(-5, 0)}},
		imagetest.Entry{Header: tar.Header{Name: "pipe", Typeflag: tar.TypeFifo, Mode: 0o600}},
		imagetest.File("not\xffutf8", ""), imagetest.Symlink("l", strings.Repeat("x", 300)), imagetest.Hardlink("z", "d/f"),
	)
	upper := imagetest.Tar(imagetest.File(".wh.l", ""), imagetest.Hardlink("a", "d/f"), imagetest.File("later", "x"))
	s.ref = s.add(s.layout.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, lower, upper))
	s.pull(t, s.ref)
	return s
}

func (s *cached) tar(t *testing.T, o ExportOptions) map[string]*tar.Header {
	t.Helper()
	o.Format, o.Store = Tar, s.store
	var out bytes.Buffer
	if _, err := s.client.Export(t.Context(), s.ref, &out, o); err != nil {
		t.Fatal(err)
	}
	headers := map[string]*tar.Header{}
	for r := tar.NewReader(&out); ; {
		h, err := r.Next()
		if err == io.EOF {
			return headers
		}
		if err != nil {
			t.Fatal(err)
		}
		headers[h.Name] = h
	}
}

func TestExportTar(t *testing.T) {
	headers := odd(t).tar(t, ExportOptions{})
	a, f, z := headers["a"], headers["d/f"], headers["z"]
	if a == nil || f == nil || z == nil || a.Typeflag != tar.TypeReg || f.Linkname != "a" || z.Linkname != "a" {
		t.Fatalf("three names of one file are %+v, %+v, %+v", a, f, z)
	}
	if a.Mode != 0o4755 || a.Uid != 1234 || a.Gid != 3000000 || !a.ModTime.Equal(time.Unix(1500000000, 123456789)) {
		t.Errorf("the file is %+v", a)
	}
	if d := headers["d/"]; d == nil || d.Mode != 0o1777 {
		t.Errorf("the directory is %+v", d)
	}
	if long := headers[strings.Repeat("long/", 60)+"name"]; long == nil || long.ModTime.Unix() != -5 {
		t.Errorf("the file with the long name is %+v", long)
	}
	for name, flag := range map[string]byte{"./": tar.TypeDir, "pipe": tar.TypeFifo, "not\xffutf8": tar.TypeReg} {
		if headers[name] == nil || headers[name].Typeflag != flag {
			t.Errorf("%q is %+v", name, headers[name])
		}
	}
	if headers["l"] != nil || headers[".wh.l"] != nil {
		t.Error("what was deleted is there")
	}
}

// What an ordinary user may not make is in the tar all the same.
func TestExportTarOfWhatNeedsPrivilege(t *testing.T) {
	capability := "\x01\x00\x00\x02" + strings.Repeat("\x00", 16)
	layout := inLayout(t.TempDir(), [][]imagetest.Entry{{
		{Header: tar.Header{Name: "ping", Mode: 0o111, Uid: 5, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": capability}}, Body: "x"},
		{Header: tar.Header{Name: "shadow", Mode: 0o200}, Body: "secret"},
		{Header: tar.Header{Name: "null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3}},
		imagetest.Hardlink("zero", "null"), imagetest.Dir("closed", 0o100), imagetest.File("closed/f", "in"),
	}})
	s := &cached{inspected: &inspected{client: New(Options{Platform: "linux/amd64"})}, ref: layout}
	headers := s.tar(t, ExportOptions{})
	if h := headers["ping"]; h == nil || h.Mode != 0o111 || h.Uid != 5 || h.PAXRecords["SCHILY.xattr.security.capability"] != capability {
		t.Errorf("the capable file is %+v", h)
	}
	if h := headers["null"]; h == nil || h.Typeflag != tar.TypeChar || h.Devmajor != 1 || h.Devminor != 3 || h.Mode != 0o666 {
		t.Errorf("the device is %+v", h)
	}
	if h := headers["zero"]; h == nil || h.Typeflag != tar.TypeLink || h.Linkname != "null" {
		t.Errorf("the device's other name is %+v", h)
	}
	if d, f, none := headers["closed/"], headers["closed/f"], headers["shadow"]; d == nil || f == nil || none == nil || d.Mode != 0o100 || none.Mode != 0o200 {
		t.Errorf("what is closed is %+v, %+v, %+v", d, f, none)
	}
}

func TestExportTarAsAsked(t *testing.T) {
	latest := time.Unix(1000000000, 0)
	for name, h := range odd(t).tar(t, ExportOptions{Owner: &archive.Owner{UID: 7, GID: 8}, SourceDate: latest}) {
		if h.Uid != 7 || h.Gid != 8 || h.ModTime.After(latest) {
			t.Errorf("%q is %d:%d of %s", name, h.Uid, h.Gid, h.ModTime)
		}
		if strings.HasSuffix(name, "/name") && h.ModTime.Unix() != -5 {
			t.Errorf("%q is of %s, and was before the latest", name, h.ModTime)
		}
	}
}

func TestExportTarOfADamagedStore(t *testing.T) {
	s := odd(t)
	image, err := s.client.Resolve(t.Context(), s.ref)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := s.store.Image(image.Manifest.Digest)
	if err != nil {
		t.Fatal(err)
	}
	file := path.Join(s.store.Path(), "layers", stored.Layers[0].Encoded(), "fs/d/f")
	for damage, change := range map[string]func() error{
		"other bytes": func() error { return os.WriteFile(file, []byte("CONTENT"), 0o644) },
		"shorter":     func() error { return os.WriteFile(file, []byte("con"), 0o644) },
		"longer":      func() error { return os.WriteFile(file, []byte("content and more"), 0o644) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		_, err := s.client.Export(t.Context(), s.ref, io.Discard, ExportOptions{Format: Tar, Store: s.store})
		if !errors.Is(err, overlaystore.ErrDamaged) {
			t.Errorf("%s: got %v, want %v", damage, err, overlaystore.ErrDamaged)
		}
	}
}
