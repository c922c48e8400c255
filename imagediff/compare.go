// SPDX-License-Identifier: Apache-2.0

package imagediff

import (
	"cmp"
	"iter"
	"maps"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/rootfs"
)

// Image is one of the two images.
type Image struct {
	// Manifest and Config are needed to compare layers and configs; nil if they are
	// not known.
	Manifest *manifest.Image
	Config   *manifest.Config
	// Files is the root filesystem.
	Files *rootfs.FS
}

// Options say what is compared; the zero value works.
type Options struct {
	// Times makes a different time of modification a difference.
	Times bool
}

// Result says what differs between A and B.
type Result struct {
	Layers Layers
	// Config has the fields that differ, sorted by name.
	Config []Field
	// Files has the paths that differ: a directory before its content, the names in
	// a directory sorted by their bytes.
	Files []Change
}

// Equal reports whether configs and files are the same. Layers need not be.
func (r *Result) Equal() bool { return len(r.Config) == 0 && len(r.Files) == 0 }

// Layers are the layers of both images, the lowest first. Two layers are the same if
// their uncompressed tars are. All are empty if a manifest or a config is not known.
type Layers struct {
	Shared, OnlyA, OnlyB []Layer
}

// Layer is a layer of one image or of both.
type Layer struct {
	DiffID digest.Digest
	// Digest and Size, in bytes, are those of the blob; of A's if both have the layer.
	Digest digest.Digest
	Size   int64
}

// Kind says what became of a path on the way from A to B.
type Kind string

// The kinds of changes.
const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
)

// Change is one path that differs.
type Change struct {
	Path string // absolute
	Kind Kind
	// What differs, for Changed: "type", "content", "mode", "owner", "target",
	// "device", "xattrs", "time".
	What []string
	// A and B describe the path in A and in B; nil if the image does not have it.
	A, B *rootfs.File
}

// Compare compares two images. It reads nothing: all is in memory already. The error
// is that of [manifest.PairLayers], for a manifest and a config that contradict each
// other.
func Compare(a, b Image, o Options) (*Result, error) {
	r := &Result{}
	if err := r.compareLayers(a, b); err != nil {
		return nil, err
	}
	if a.Config != nil && b.Config != nil {
		r.Config = compareConfigs(a.Config.Raw, b.Config.Raw)
	}
	nextA, stopA := iter.Pull(whole(a.Files))
	defer stopA()
	nextB, stopB := iter.Pull(whole(b.Files))
	defer stopB()
	r.compareFiles(nextA, nextB, o)
	return r, nil
}

// whole yields the root and everything below it.
func whole(files *rootfs.FS) iter.Seq[rootfs.File] {
	return func(yield func(rootfs.File) bool) {
		if root, err := files.Lookup("/", false); err == nil && !yield(root) {
			return
		}
		files.Below("/")(yield)
	}
}

func (r *Result) compareFiles(nextA, nextB func() (rootfs.File, bool), o Options) {
	a, moreA := nextA()
	b, moreB := nextB()
	for moreA || moreB {
		order := 0
		switch {
		case !moreB:
			order = -1
		case !moreA:
			order = 1
		default:
			order = inOrder(a.Path, b.Path)
		}
		switch {
		case order < 0:
			gone := a
			r.Files = append(r.Files, Change{Path: a.Path, Kind: Removed, A: &gone})
		case order > 0:
			added := b
			r.Files = append(r.Files, Change{Path: b.Path, Kind: Added, B: &added})
		default:
			if what := differences(&a, &b, o); len(what) > 0 {
				before, after := a, b
				r.Files = append(r.Files, Change{Path: a.Path, Kind: Changed, What: what, A: &before, B: &after})
			}
		}
		if order <= 0 {
			a, moreA = nextA()
		}
		if order >= 0 {
			b, moreB = nextB()
		}
	}
}

// inOrder compares two paths by the order of a walk, in which a directory's content
// comes before the directory's next neighbour: a slash sorts before any other byte.
func inOrder(a, b string) int {
	for i := range min(len(a), len(b)) {
		x, y := a[i], b[i]
		switch {
		case x == y:
		case x == '/':
			return -1
		case y == '/':
			return 1
		default:
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(a), len(b))
}

// differences returns what differs between two files of one path.
func differences(a, b *rootfs.File, o Options) (what []string) {
	note := func(differs bool, name string) {
		if differs {
			what = append(what, name)
		}
	}
	sameType := a.Mode.Type() == b.Mode.Type()
	note(!sameType, "type")
	note(sameType && (a.Size != b.Size || a.Sum != b.Sum), "content")
	note(a.Mode&^a.Mode.Type() != b.Mode&^b.Mode.Type(), "mode")
	note(a.UID != b.UID || a.GID != b.GID, "owner")
	note(sameType && a.Target != b.Target, "target")
	note(sameType && (a.Major != b.Major || a.Minor != b.Minor), "device")
	note(!maps.Equal(a.Xattrs, b.Xattrs), "xattrs")
	note(o.Times && !a.ModTime.Equal(b.ModTime), "time")
	return what
}

func (r *Result) compareLayers(a, b Image) error {
	layersA, err := layersOf(a)
	if err != nil {
		return err
	}
	layersB, err := layersOf(b)
	if err != nil {
		return err
	}
	left := map[digest.Digest]int{} // how often B has a layer
	for _, l := range layersB {
		left[l.DiffID]++
	}
	shared := map[digest.Digest]int{}
	for _, l := range layersA {
		if left[l.DiffID] > shared[l.DiffID] {
			shared[l.DiffID]++
			r.Layers.Shared = append(r.Layers.Shared, l)
		} else {
			r.Layers.OnlyA = append(r.Layers.OnlyA, l)
		}
	}
	for _, l := range layersB {
		if shared[l.DiffID]--; shared[l.DiffID] < 0 {
			r.Layers.OnlyB = append(r.Layers.OnlyB, l)
		}
	}
	return nil
}

func layersOf(i Image) (list []Layer, err error) {
	if i.Manifest == nil || i.Config == nil {
		return nil, nil
	}
	paired, err := manifest.PairLayers(i.Manifest, i.Config)
	if err != nil {
		return nil, err
	}
	for _, l := range paired {
		list = append(list, Layer{DiffID: l.DiffID, Digest: l.Descriptor.Digest, Size: l.Descriptor.Size})
	}
	return list, nil
}

// Count counts the changes of a kind. bytes is by how much they make B's regular files
// larger than A's.
func (r *Result) Count(kind Kind) (n int, bytes int64) {
	for _, c := range r.Files {
		if c.Kind != kind {
			continue
		}
		n++
		if c.B != nil {
			bytes += c.B.Size
		}
		if c.A != nil {
			bytes -= c.A.Size
		}
	}
	return n, bytes
}

// String describes the change in a line, for logs and tests. The path is not quoted.
func (c Change) String() string {
	return strings.TrimSpace(string(c.Kind) + " " + c.Path + " " + strings.Join(c.What, ","))
}
