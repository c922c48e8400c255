// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/platform"
)

var update = flag.Bool("update", false, "make testdata/format1.tar.gz anew")

const format1 = "testdata/format1.tar.gz"

// A store of format 1 as it was made in 2026: it must be read for ever. It is
// squashed and has user.* marks, so that any user can unpack it.
func TestFormat1IsReadForEver(t *testing.T) {
	if *update {
		packFormat1(t)
	}
	dir := filepath.Join(t.TempDir(), "store")
	if err := unpackTar(format1, dir); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, want := s.Format(), (Format{1, layer.Form{Whiteouts: layer.CharDevices, Xattrs: layer.UserXattrs, IDs: layer.SquashedIDs}}); got != want {
		t.Errorf("format %+v, want %+v", got, want)
	}
	r, err := s.Verify(t.Context(), VerifyOptions{})
	if err != nil || r.Layers != 4 || r.Files < 15 {
		t.Errorf("verified %d layers, %d files: %v %v", r.Layers, r.Files, err, r.Differences)
	}
	img, err := s.Lookup("example.com/format:1", platform.Wanted{})
	if err != nil {
		t.Fatal(err)
	}
	base, top := layerID("format base"), layerID("format top")
	if want := []digest.Digest{base, top, base}; !slices.Equal(img.Layers, want) || img.Fix == "" || img.Size != 4711 || img.Platform.Variant != "v6" {
		t.Errorf("image %+v", img)
	}
	rec, err := s.Layer(top)
	if err != nil {
		t.Fatal(err)
	}
	want := LayerRecord{
		DiffID: top, Size: 10240, DiskSize: 3, Blobs: []layer.Blob{{Digest: base, Size: 99, MediaType: "application/x"}}, Counts: layer.Counts{Regular: 1},
		Facts: layer.Facts{
			Implied:         []layer.ImpliedDir{{Path: "."}, {Path: "d", Opaque: layer.Marked}, {Path: "%\xff", Bare: true}},
			WhiteoutParents: []layer.Path{".", "%\xff"}, ForeignLinks: []layer.ForeignLink{{Path: "link", Target: "file"}},
		},
		Notes: map[string]int64{"device-skipped": 2},
	}
	if got, want := jsonOf(t, rec), jsonOf(t, want); got != want {
		t.Errorf("record\n%s, want\n%s", got, want)
	}
	dirs, err := s.LowerDirs(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range dirs {
		if d.Link != fmt.Sprint(i+1) {
			t.Errorf("link %d is %q", i+1, d.Link)
		}
	}
	if err := pullBoth(t.Context(), s); err != nil {
		t.Errorf("the store takes no more: %v", err)
	}
}

// packFormat1 makes the store that is kept.
func packFormat1(t *testing.T) {
	dir := filepath.Join(memoryDir(t), "store")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	reopen(t, dir, Options{}).Close()
	writeFile(t, filepath.Join(dir, "store.json"), `{"format":1,"whiteouts":"chardev","xattrs":"user","ids":"squashed"}`)
	s := reopen(t, dir, Options{})
	base := addLayer(t, s, "format base", LayerRecord{}, append(everyKind(), regular("file", "linked to"))...)
	odd := implied("%\xff")
	odd.Bare = true
	top := addLayer(t, s, "format top", LayerRecord{
		Size: 10240, Blobs: []layer.Blob{{Digest: base, Size: 99, MediaType: "application/x"}}, Counts: layer.Counts{Regular: 1},
		Facts: layer.Facts{ForeignLinks: []layer.ForeignLink{{Path: "link", Target: "file"}}}, Notes: map[string]int64{"device-skipped": 2},
	}, opaque(implied("d"), layer.Marked), regular("d/new", "new"), whiteout("o"), odd, whiteout("%\xff/gone"))
	addLayer(t, s, "format unused", LayerRecord{}, regular("f", "x"))
	img := Image{Manifest: digest.FromString("format"), Config: base, Layers: []digest.Digest{base, top, base}, Size: 4711, Created: testTime}
	img.Platform.OS, img.Platform.Architecture, img.Platform.Variant = "linux", "arm", "v6"
	if _, err := s.PutImage(t.Context(), img); err != nil {
		t.Fatal(err)
	}
	if err := s.Tag(t.Context(), "example.com/format:1", img.Manifest, TagOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := packTar(dir, format1); err != nil {
		t.Fatal(err)
	}
}

// packTar keeps what a store is made of: modes, times, whiteouts, links and
// user.* attributes.
func packTar(dir, name string) error {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	inodes := map[uint64]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		target, _ := os.Readlink(p)
		h, err := tar.FileInfoHeader(fi, target)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		h.Name, h.Format = rel, tar.FormatPAX
		h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
		h.AccessTime, h.ChangeTime = h.ModTime, h.ModTime
		if first, ok := inodes[st.Ino]; ok && !d.IsDir() {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
		}
		inodes[st.Ino] = rel
		h.PAXRecords = map[string]string{}
		for _, key := range []string{"user.note", "user.overlay.opaque"} {
			value := make([]byte, 100)
			if n, err := unix.Lgetxattr(p, key, value); err == nil {
				h.PAXRecords["SCHILY.xattr."+key] = string(value[:n])
			}
		}
		if err := w.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
			return err
		}
		body, err := os.ReadFile(p)
		if err == nil {
			_, err = w.Write(body)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		return err
	}
	return os.WriteFile(name, buf.Bytes(), 0o644)
}

func unpackTar(name, dir string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	type late struct {
		path string
		h    *tar.Header
	}
	var dirs []late
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		p := filepath.Join(dir, h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.Mkdir(p, 0o700)
		case tar.TypeSymlink:
			err = os.Symlink(h.Linkname, p)
		case tar.TypeLink:
			if err := os.Link(filepath.Join(dir, h.Linkname), p); err != nil {
				return err
			}
			continue
		case tar.TypeChar:
			err = unix.Mknod(p, unix.S_IFCHR, 0)
		case tar.TypeFifo:
			err = unix.Mkfifo(p, 0o600)
		default:
			var body []byte
			if body, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(p, body, 0o600)
			}
		}
		if err != nil {
			return err
		}
		dirs = append(dirs, late{p, h})
	}
	for _, l := range slices.Backward(dirs) {
		e := file{Entry: layer.Entry{Mode: uint32(l.h.Mode) & 0o7777, ModTime: l.h.ModTime, Type: layer.Regular, Xattrs: map[string]string{}}}
		if l.h.Typeflag == tar.TypeSymlink {
			e.Type = layer.Symlink
		}
		for key, value := range l.h.PAXRecords {
			if name, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
				e.Xattrs[name] = value
			}
		}
		if err := layertest.SetAttributes(l.path, e); err != nil {
			return err
		}
	}
	return nil
}
