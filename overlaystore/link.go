// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// linkBase is that of the numbers which name the short links: 500 of them
// leave room in the 4095 bytes of mount options for the first 78 billion.
const linkBase = 36

// linksLock is held while a number is given.
const linksLock = "links"

// links returns for each directory, given by its path under the store, the
// name of a short link in l/ that leads there, and makes those that are
// missing, durably: the names stand in mount lines that people keep.
func (s *Store) links(ctx context.Context, paths []string) ([]string, error) {
	unlock, err := durable.Lock(ctx, s.dirs[storedirs.Locks], linksLock, durable.Exclusive, nil)
	if err != nil {
		return nil, err
	}
	defer unlock()
	byTarget, last, err := s.readLinks()
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
			if err := s.symlink(ctx, target, name); err != nil {
				return nil, err
			}
			byTarget[target], made = name, true
		}
		names[i] = name
	}
	if made {
		return names, durable.SyncDir(ctx, s.dirs[storedirs.Links])
	}
	return names, nil
}

func linkName(n uint64) string { return strconv.FormatUint(n, linkBase) }

func (s *Store) symlink(ctx context.Context, target, name string) error {
	if err := durable.Fault(ctx, "symlink"); err != nil {
		return err
	}
	if err := unix.Symlinkat(target, int(s.dirs[storedirs.Links].Fd()), name); err != nil {
		return fmt.Errorf("make link %s/%s: %w", storedirs.Links, name, err)
	}
	return nil
}

// readLinks returns the links by their target, and the highest number given.
// Prune keeps the highest, so that no number names another layer later: a line
// that somebody kept must fail then, and not mount a wrong layer.
func (s *Store) readLinks() (byTarget map[string]string, last uint64, err error) {
	names, err := fsat.Names(s.dirs[storedirs.Links])
	if err != nil {
		return nil, 0, err
	}
	byTarget = make(map[string]string, len(names))
	for _, name := range names {
		n, err := strconv.ParseUint(name, linkBase, 64)
		if err != nil || name == storedirs.EmptyLink {
			continue
		}
		target, err := s.readLink(name)
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

func (s *Store) readLink(name string) (string, error) {
	buf := make([]byte, 512)
	n, err := unix.Readlinkat(int(s.dirs[storedirs.Links].Fd()), name, buf)
	if err != nil {
		return "", fmt.Errorf("read link %s/%s: %w", storedirs.Links, name, err)
	}
	return string(buf[:n]), nil
}
