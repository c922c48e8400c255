// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/stagingdir"
	"github.com/layerctl/layerctl/overlaystore"
)

// writableDir has the upper and work directories of writable mounts whose callers
// named none: writable/<random>/upper and work. It is made when it is first needed.
const writableDir = "writable"

// removePair removes a pair. Another process may have removed it first, once nobody
// held its lock.
func removePair(ctx context.Context, s *overlaystore.Store, name string) error {
	parent, err := durable.OpenDirAt(s.Dir(), writableDir)
	if err != nil {
		return err
	}
	return errors.Join(unlessGone(s.Trash(ctx, parent, name)), parent.Close())
}

// unlessGone leaves out that something is no longer there.
func unlessGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// removeUnmade removes the pairs that processes were making when they died: nobody
// holds their lock, they have no record, and upper is empty. Any pair may go meanwhile:
// no lock keeps others from unmounting.
func removeUnmade(ctx context.Context, s *overlaystore.Store, writable, locks *os.File) error {
	return stagingdir.Dead(ctx, writable, locks, func(name string) error {
		pair, err := durable.OpenDirAt(writable, name)
		if err != nil {
			return unlessGone(err)
		}
		defer pair.Close()
		if made, err := isMade(pair); err != nil || made {
			return err
		}
		return unlessGone(s.Trash(ctx, writable, name))
	})
}

// isMade reports whether a pair has its record, or a file in upper.
func isMade(pair *os.File) (bool, error) {
	record, err := fsat.Find(pair, "work/"+writingFile)
	if err == nil {
		return true, record.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	upper, err := fsat.OpenDir(pair, "upper")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	names, err := fsat.Names(upper)
	return len(names) > 0, errors.Join(err, upper.Close())
}

// pairOf returns the name of the pair of the store to which a mount writes, or "".
func pairOf(store string, upperDirs []string) string {
	for _, upper := range upperDirs {
		below, ok := strings.CutPrefix(upper, store+"/"+writableDir+"/")
		if !ok {
			below, ok = strings.CutPrefix(upper, "../"+writableDir+"/")
		}
		if name, rest, _ := strings.Cut(below, "/"); ok && rest == "upper" {
			return name
		}
	}
	return ""
}

// Leftovers lists the pairs of upper and work directories in the store that no mount
// uses. A crash, umount(8) or a mount line that nobody ran leaves them. Upper has what was
// written.
func Leftovers(ctx context.Context, s *overlaystore.Store) ([]Writing, error) {
	pairs, err := unusedPairs(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("list what mounts left: %w", err)
	}
	boot, err := durable.BootID()
	if err != nil {
		return nil, fmt.Errorf("list what mounts left: %w", err)
	}
	var list []Writing
	for _, name := range pairs {
		path := filepath.Join(s.Path(), writableDir, name)
		w, _ := readWriting(filepath.Join(path, "work"))
		w.Upper, w.Crashed = filepath.Join(path, "upper"), w.Boot != boot
		list = append(list, w)
	}
	return list, nil
}

func unusedPairs(ctx context.Context, s *overlaystore.Store) ([]string, error) {
	dir, err := durable.OpenDirAt(s.Dir(), writableDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := fsat.Names(dir)
	if err := errors.Join(err, dir.Close()); err != nil {
		return nil, err
	}
	store, err := s.RealPath()
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	err = mounts.Each(ctx, func(_ string, e mounts.Entry) { used[pairOf(store, e.Dirs("upperdir"))] = true })
	var unused []string
	for _, name := range names {
		if !used[name] {
			unused = append(unused, name)
		}
	}
	return unused, err
}
