// SPDX-License-Identifier: Apache-2.0

// Package shortlink keeps the short links that lead to the directories of
// layers: the kernel's mount options have room for so many bytes only.
package shortlink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// base is that of the numbers which name the short links: 500 of them
// leave room in the 4095 bytes of mount options for the first 78 billion.
const base = 36

// Dir are the directories of a store that links need.
type Dir struct {
	Links *os.File // with the links
	Locks *os.File // with the lock that is held while a number is given
}

// Lock is held while a number is given.
const Lock = "links"

// Names returns for each directory, given by its path under the store, the
// name of a short link that leads there, and makes those that are
// missing, durably: the names stand in mount lines that people keep.
func (d Dir) Names(ctx context.Context, paths []string) ([]string, error) {
	unlock, err := durable.Lock(ctx, d.Locks, Lock, durable.Exclusive, nil)
	if err != nil {
		return nil, err
	}
	defer unlock()
	byTarget, last, err := d.Read()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(paths))
	made := false
	for i, path := range paths {
		target := "../" + path
		name, ok := byTarget[target]
		if !ok {
			last++
			name = linkName(last)
			if err := d.symlink(ctx, target, name); err != nil {
				return nil, err
			}
			byTarget[target], made = name, true
		}
		names[i] = name
	}
	if made {
		return names, durable.SyncDir(ctx, d.Links)
	}
	return names, nil
}

func linkName(n uint64) string { return strconv.FormatUint(n, base) }

func (d Dir) symlink(ctx context.Context, target, name string) error {
	if err := durable.Fault(ctx, "symlink"); err != nil {
		return err
	}
	if err := unix.Symlinkat(target, int(d.Links.Fd()), name); err != nil {
		return fmt.Errorf("make link %s/%s: %w", storedirs.Links, name, err)
	}
	return nil
}

// Read returns the links by their target, and the highest number given.
// Prune keeps the highest, so that no number names another layer later: a line
// that somebody kept must fail then, and not mount a wrong layer.
func (d Dir) Read() (byTarget map[string]string, last uint64, err error) {
	names, err := fsat.Names(d.Links)
	if err != nil {
		return nil, 0, err
	}
	byTarget = make(map[string]string, len(names))
	for _, name := range names {
		n, err := strconv.ParseUint(name, base, 64)
		if err != nil || name == storedirs.EmptyLink {
			continue
		}
		target, err := d.readLink(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		byTarget[target] = name
		last = max(last, n)
	}
	return byTarget, last, nil
}

func (d Dir) readLink(name string) (string, error) {
	buf := make([]byte, 512)
	n, err := unix.Readlinkat(int(d.Links.Fd()), name, buf)
	if err != nil {
		return "", fmt.Errorf("read link %s/%s: %w", storedirs.Links, name, err)
	}
	return string(buf[:n]), nil
}

// Stale are the links that lead to nothing under root, sorted, but for the one
// with the highest number, see [Dir.Read].
func (d Dir) Stale(root *os.File) ([]string, error) {
	byTarget, last, err := d.Read()
	if err != nil {
		return nil, err
	}
	var stale []string
	for target, name := range byTarget {
		there, err := fsat.Exists(root, strings.TrimPrefix(target, "../"))
		if err != nil {
			return nil, err
		}
		if !there && name != linkName(last) {
			stale = append(stale, name)
		}
	}
	slices.Sort(stale)
	return stale, nil
}
