// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/layerctl/layerctl/internal/filesum"
	"github.com/layerctl/layerctl/layer"
)

func TestTreeWriter(t *testing.T) {
	sum := filesum.Of([]byte("content"))
	// archive/tar keeps ids as int, and refuses on 32 bits what is larger.
	const largest = min(1<<32-2, math.MaxInt)
	file := layer.Entry{
		Path: "f", Type: layer.Regular, Mode: 0o6755, UID: largest, GID: 5, Size: 7, Sum: sum, ModTime: time.Unix(1, 2),
		Xattrs: map[string]string{"user.b": "\x00\xff\n", "user.a": "", "security.capability": "\x01\x00"},
	}
	device := layer.Entry{Path: "c", Type: layer.CharDevice, Mode: 0o600, Major: 4095, Minor: 1048575, ModTime: time.Unix(0, 0)}
	var out bytes.Buffer
	w := NewTreeWriter(&out, TreeOptions{})
	if err := errors.Join(w.Write(file, strings.NewReader("content")), w.Write(device, nil), w.Close()); err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(&out)
	h, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if h.Mode != 0o6755 || h.Uid != int(largest) || h.Gid != 5 || !h.ModTime.Equal(time.Unix(1, 2)) || !h.AccessTime.IsZero() {
		t.Errorf("got %+v", h)
	}
	for name, value := range file.Xattrs {
		if got := h.PAXRecords["SCHILY.xattr."+name]; got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if h, err = r.Next(); err != nil || h.Devmajor != 4095 || h.Devminor != 1048575 {
		t.Errorf("got %+v, %v", h, err)
	}
}

// What runs with its owner's rights must not run with another's.
func TestOwnerTakesSetIDBits(t *testing.T) {
	able := map[string]string{"security.capability": "x", "user.kept": "y"}
	for _, c := range []struct {
		name    string
		entry   layer.Entry
		mode    int64
		able    bool
		cleared int
	}{
		{"another owner and group", layer.Entry{Mode: 0o6755, UID: 1, GID: 1}, 0o755, false, 1},
		{"the same owner, another group", layer.Entry{Mode: 0o6755, UID: 7, GID: 1}, 0o4755, false, 1},
		{"another owner, the same group", layer.Entry{Mode: 0o6755, UID: 1, GID: 8}, 0o2755, false, 1},
		{"the same owner and group", layer.Entry{Mode: 0o7755, UID: 7, GID: 8, Xattrs: able}, 0o7755, true, 0},
		{"a capability of root's", layer.Entry{Mode: 0o755, Xattrs: able}, 0o755, false, 1},
		{"the sticky bit", layer.Entry{Mode: 0o1777, UID: 1, GID: 1}, 0o1777, false, 0},
		{"another name", layer.Entry{Type: layer.Hardlink, Mode: 0o4755, Linkname: "x"}, 0o755, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.entry.Type == 0 {
				c.entry.Type = layer.FIFO
			}
			c.entry.Path, c.entry.ModTime = "f", time.Unix(0, 0)
			var out bytes.Buffer
			w := NewTreeWriter(&out, TreeOptions{Owner: &Owner{7, 8}})
			if err := errors.Join(w.Write(c.entry, nil), w.Close()); err != nil {
				t.Fatal(err)
			}
			h, err := tar.NewReader(&out).Next()
			if err != nil {
				t.Fatal(err)
			}
			_, able := h.PAXRecords["SCHILY.xattr.security.capability"]
			if h.Mode != c.mode || h.Uid != 7 || h.Gid != 8 || able != c.able || w.Cleared() != c.cleared {
				t.Errorf("mode %o of %d:%d, capability %v, %d cleared; want %o, %v, %d", h.Mode, h.Uid, h.Gid, able, w.Cleared(), c.mode, c.able, c.cleared)
			}
			if len(c.entry.Xattrs) > 0 && h.PAXRecords["SCHILY.xattr.user.kept"] != "y" {
				t.Error("another attribute is gone too")
			}
		})
	}
}

func TestTreeWriterRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		entry   layer.Entry
		content string
		want    error // nil for any
	}{
		{"a whiteout", layer.Entry{Type: layer.Whiteout}, "", nil},
		{"a shorter content", layer.Entry{Type: layer.Regular, Size: 2}, "x", ErrMismatch},
		{"a longer content", layer.Entry{Type: layer.Regular, Size: 2}, "xyz", ErrMismatch},
		{"another content", layer.Entry{Type: layer.Regular, Size: 2, Sum: 7}, "xy", ErrMismatch},
		{"an attribute that no record can have", layer.Entry{Type: layer.Directory, Xattrs: map[string]string{"user.a=b": ""}}, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.entry.Path, c.entry.ModTime = "name", time.Unix(0, 0)
			err := NewTreeWriter(new(bytes.Buffer), TreeOptions{}).Write(c.entry, strings.NewReader(c.content))
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), `"name"`) {
				t.Errorf("got %v, want %v of name", err, c.want)
			}
		})
	}
}
