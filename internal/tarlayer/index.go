// SPDX-License-Identifier: Apache-2.0

package tarlayer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/erofs"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/sortedview"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
)

// device is one layer of an image.
type device struct {
	dir   *os.File // the layer's directory
	layer Layer
}

// distinct is each diffID once, the lowest first, and for each layer which of
// these it is: the devices and the stack of writeIndex.
func distinct(layers []digest.Digest) (unique []digest.Digest, stack []int) {
	seen := map[digest.Digest]int{}
	for _, diffID := range layers {
		at, ok := seen[diffID]
		if !ok {
			at = len(unique)
			seen[diffID] = at
			unique = append(unique, diffID)
		}
		stack = append(stack, at)
	}
	return unique, stack
}

// writeIndex writes the index of an image whose layers are stack, the lowest
// first, as numbers in devices: an image may have a layer several times. What is
// too much for memory meanwhile goes to files without a name in dir.
// It returns how many entries the image has, and the index's size in bytes.
func writeIndex(ctx context.Context, to io.WriterAt, dir string, devices []device, stack []int) (entries, size int64, err error) {
	files := make([]erofs.Device, len(devices))
	for i, l := range devices {
		f, err := fsat.OpenFile(l.dir, fileName)
		if err != nil {
			return 0, 0, err
		}
		defer f.Close()
		files[i] = erofs.Device{Size: behindTar(l.layer.Size), ReadAt: f.ReadAt}
	}
	view := sortedview.New(sortedview.Options{Dir: dir})
	defer view.Close()
	for i, n := range stack {
		if err := view.Add(ctx, records(devices[n].dir), devices[n].layer.Facts); err != nil {
			return 0, 0, fmt.Errorf("read the journal of layer %d: %w", i+1, err)
		}
	}
	size, err = erofs.Write(to, files, func(add func(erofs.Entry) error) error {
		entries = 0
		return view.All(ctx, func(f sortedview.File) error {
			entries++
			return add(erofs.Entry{Path: f.Path, Inode: inode(&f, stack), File: f.File})
		})
	})
	return entries, size, err
}

// records are those of the journal in a layer's directory, which is opened each
// time they are gone through.
func records(dir *os.File) iter.Seq2[layer.Entry, error] {
	return func(yield func(layer.Entry, error) bool) {
		r, err := journal.Open(dir)
		if err != nil {
			yield(layer.Entry{}, err)
			return
		}
		defer r.Close()
		r.All()(yield)
	}
}

func inode(f *sortedview.File, stack []int) erofs.Inode {
	i := erofs.Inode{
		Type: f.Type, Mode: f.Mode, UID: f.UID, GID: f.GID, ModTime: f.ModTime,
		Size: f.Size, Major: f.Major, Minor: f.Minor, Linkname: f.Linkname, Xattrs: f.Xattrs,
	}
	if f.Type == layer.Regular && f.Layer >= 0 {
		i.Device, i.Extents = stack[f.Layer], extents(&f.Entry)
	}
	return i
}

// CreateIndex makes the file of an index in the directory dir. open opens the
// directory of a layer, which CreateIndex closes, and says what it is;
// it is asked once for each layer, in the order of [Files].
func CreateIndex(ctx context.Context, dir *os.File, layers []digest.Digest, open func(digest.Digest) (*os.File, Layer, error)) (Index, error) {
	unique, stack := distinct(layers)
	return createIndex(ctx, dir, unique, stack, open)
}

// CreateIndexOfEach is CreateIndex with a device for each layer, also where one
// comes several times.
func CreateIndexOfEach(ctx context.Context, dir *os.File, layers []digest.Digest, open func(digest.Digest) (*os.File, Layer, error)) (Index, error) {
	stack := make([]int, len(layers))
	for i := range stack {
		stack[i] = i
	}
	return createIndex(ctx, dir, layers, stack, open)
}

func createIndex(ctx context.Context, dir *os.File, unique []digest.Digest, stack []int, open func(digest.Digest) (*os.File, Layer, error)) (made Index, err error) {
	var devices []device
	defer func() {
		for _, d := range devices {
			err = errors.Join(err, d.dir.Close())
		}
	}()
	for _, diffID := range unique {
		from, l, err := open(diffID)
		if from != nil {
			devices = append(devices, device{from, l})
		}
		if err != nil {
			return Index{}, fmt.Errorf("layer %s: %w", diffID, err)
		}
	}
	f, err := fsat.Create(dir, storedirs.Index, 0o600)
	if err != nil {
		return Index{}, err
	}
	made.Entries, made.Size, err = writeIndex(ctx, f, fmt.Sprintf("/proc/self/fd/%d", dir.Fd()), devices, stack)
	if err == nil {
		made.Digest, err = fileDigest(ctx, dir, storedirs.Index)
	}
	return made, errors.Join(err, f.Close())
}

// NameFor is the name in an index's directory by which an image is mounted: a
// link to the index, which is made unless it is there, or the index itself where
// it cannot be.
func NameFor(dir *os.File, manifest digest.Digest) string {
	name := storedirs.IndexOf(manifest)
	if err := unix.Linkat(int(dir.Fd()), storedirs.Index, int(dir.Fd()), name, 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return storedirs.Index
	}
	return name
}

// Files are the files that an index of such a stack points into, in their order:
// that of each layer once, the lowest first, as a path below the root of their
// store, among what is durable or of this boot. The error is os.ErrNotExist when
// there is no such layer.
func Files(root *os.File, layers []digest.Digest, boot string) (paths []string, err error) {
	unique, _ := distinct(layers)
	whole, err := listed(root, len(unique))
	if err != nil {
		return nil, err
	}
	for _, diffID := range unique {
		name, err := storedirs.Name(diffID)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
		}
		path := storedirs.Layers + "/" + name + "/" + fileName
		if !whole[name] {
			path, err = find(root, name+"/"+fileName, storedirs.Layers, storedirs.Unsynced+"/"+boot)
		}
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", diffID, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// listed are the layers that are durable, where so many are wanted that a listing is
// cheaper than to ask for each: a directory there is a whole layer. Whoever could
// have put a link into it owns the store, and opens what he likes without it.
func listed(root *os.File, wanted int) (map[string]bool, error) {
	const many = 32
	if wanted < many {
		return nil, nil
	}
	dir, err := fsat.OpenDir(root, storedirs.Layers)
	if err != nil {
		return nil, err
	}
	defer dir.Close() // only read
	names, err := dir.Readdirnames(-1)
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set, err
}

// find is the path of a file that is in one of the directories below root. The
// kernel follows links, so there may be none.
func find(root *os.File, name string, dirs ...string) (string, error) {
	for _, dir := range dirs {
		path := dir + "/" + name
		st, err := fsat.Lstat(root, path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG:
			err = fmt.Errorf("%q: %w", path, fsat.ErrNotRegular)
		}
		return path, err
	}
	return "", fs.ErrNotExist
}

// Index is what was made.
type Index struct {
	Entries, Size int64
	Digest        digest.Digest
}
