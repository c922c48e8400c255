// SPDX-License-Identifier: Apache-2.0

package show

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/rootfs"
)

// FileObject is a file in the output of ls --json.
type FileObject struct {
	Path    layer.Path            `json:"path"`
	Type    string                `json:"type"`
	Mode    string                `json:"mode"`
	UID     uint32                `json:"uid"`
	GID     uint32                `json:"gid"`
	Size    int64                 `json:"size"`
	Sum     string                `json:"crc32c,omitempty"`
	ModTime time.Time             `json:"modTime"`
	Target  layer.Path            `json:"target,omitempty"`
	Major   *uint32               `json:"major,omitempty"`
	Minor   *uint32               `json:"minor,omitempty"`
	Xattrs  map[layer.Path][]byte `json:"xattrs,omitempty"`
	Names   int                   `json:"names,omitempty"`
}

// FilesJSON prints files as an array of objects.
func FilesJSON(w io.Writer, list []rootfs.File) error {
	return terminal.WriteJSON(w, FileObjects(list))
}

// FileLines prints files, each as an object in one line.
func FileLines(w io.Writer, list []rootfs.File) error {
	out := bufio.NewWriter(w)
	for _, o := range FileObjects(list) {
		if err := terminal.WriteJSONLine(out, o); err != nil {
			return err
		}
	}
	return out.Flush()
}

// FileObjects returns files as ls --json prints them.
func FileObjects(list []rootfs.File) []FileObject {
	objects := make([]FileObject, 0, len(list))
	for _, f := range list {
		o := FileObject{
			Path: layer.Path(f.Path), Type: typeWords[f.Mode.Type()], Mode: fmt.Sprintf("%04o", permissions(f.Mode)),
			UID: f.UID, GID: f.GID, Size: f.Size, ModTime: f.ModTime.UTC(), Target: layer.Path(f.Target),
		}
		if f.Mode.IsRegular() {
			o.Sum = fmt.Sprintf("%08x", f.Sum)
		}
		if f.Mode&fs.ModeDevice != 0 {
			o.Major, o.Minor = &f.Major, &f.Minor
		}
		for name, value := range f.Xattrs {
			if o.Xattrs == nil {
				o.Xattrs = map[layer.Path][]byte{}
			}
			o.Xattrs[layer.Path(name)] = []byte(value)
		}
		if f.Names > 1 {
			o.Names = f.Names
		}
		objects = append(objects, o)
	}
	return objects
}

var typeWords = map[fs.FileMode]string{
	0: "file", fs.ModeDir: "directory", fs.ModeSymlink: "symlink", fs.ModeNamedPipe: "fifo",
	fs.ModeDevice | fs.ModeCharDevice: "chardev", fs.ModeDevice: "blockdev",
}

// permissions returns the mode bits of stat(2), 07777 at most.
func permissions(m fs.FileMode) uint32 {
	p := uint32(m.Perm())
	for _, bit := range modeBits {
		if m&bit.mode != 0 {
			p |= bit.octal
		}
	}
	return p
}

var modeBits = []struct {
	mode  fs.FileMode
	octal uint32
	at    int // in "rwxrwxrwx"
	with  byte
	alone byte
}{
	{fs.ModeSetuid, 0o4000, 2, 's', 'S'},
	{fs.ModeSetgid, 0o2000, 5, 's', 'S'},
	{fs.ModeSticky, 0o1000, 8, 't', 'T'},
}

// modeWord returns the type and the permissions as ls(1) prints them.
func modeWord(m fs.FileMode) string {
	word := []byte(m.Perm().String()[1:])
	for _, bit := range modeBits {
		switch {
		case m&bit.mode == 0:
		case word[bit.at] == 'x':
			word[bit.at] = bit.with
		default:
			word[bit.at] = bit.alone
		}
	}
	letters := map[fs.FileMode]string{
		0: "-", fs.ModeDir: "d", fs.ModeSymlink: "l", fs.ModeNamedPipe: "p",
		fs.ModeDevice | fs.ModeCharDevice: "c", fs.ModeDevice: "b",
	}
	return letters[m.Type()] + string(word)
}

// Files prints the paths of files, one a line.
func Files(w io.Writer, list []rootfs.File) error {
	out := bufio.NewWriter(w)
	for _, f := range list {
		fmt.Fprintln(out, terminal.Escape(f.Path))
	}
	return out.Flush()
}

// LongFiles prints a line for each file, with mode, owner, size and time.
func LongFiles(w io.Writer, list []rootfs.File) error {
	var widest [2]int
	columns := func(f rootfs.File) [2]string {
		size := fmt.Sprint(f.Size)
		if f.Mode&fs.ModeDevice != 0 {
			size = fmt.Sprintf("%d,%d", f.Major, f.Minor)
		}
		return [2]string{fmt.Sprintf("%d:%d", f.UID, f.GID), size}
	}
	for _, f := range list {
		for i, c := range columns(f) {
			widest[i] = max(widest[i], len(c))
		}
	}
	out := bufio.NewWriter(w)
	for _, f := range list {
		c := columns(f)
		name := terminal.Escape(f.Path)
		if f.Target != "" {
			name += " -> " + terminal.Escape(f.Target)
		}
		fmt.Fprintf(out, "%s %*s %*s %s %s\n", modeWord(f.Mode), -widest[0], c[0], widest[1], c[1], f.ModTime.UTC().Format("2006-01-02 15:04:05"), name)
	}
	return out.Flush()
}
