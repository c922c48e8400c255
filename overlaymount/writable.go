// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/lowerdir"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/stagingdir"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// Writing is the record of a writable mount. It is kept as layerctl.json in the work
// directory, where overlayfs ignores it.
type Writing struct {
	Manifest digest.Digest `json:"manifest"`
	Source   string        `json:"source"`
	Target   string        `json:"target,omitempty"`
	Volatile bool          `json:"volatile,omitempty"`
	// Driver is the driver that wrote to the upper directory; "" is the kernel's.
	// Each makes marks that the other does not know.
	Driver Driver `json:"driver,omitempty"`
	// Boot is the id of the boot (/proc/sys/kernel/random/boot_id). Until that boot
	// ends nothing that a volatile mount wrote is lost.
	Boot string    `json:"boot"`
	Made time.Time `json:"made"`
	// Upper is the upper directory. It is not part of the record.
	Upper string `json:"-"`
	// Crashed says that the boot has ended since. It is not part of the record.
	Crashed bool `json:"-"`
}

const writingFile = "layerctl.json"

func (m *Mount) writable() bool { return m.upper != "" }

// makeWritable makes or checks the upper and work directories, and writes the record.
func (m *Mount) makeWritable(ctx context.Context, o Options) error {
	var err error
	if o.Upper == "" {
		pair, err := m.makePair(ctx)
		if err != nil {
			return fmt.Errorf("make an upper dir: %w", err)
		}
		defer pair.Close() // unlocks it; until then removeUnmade leaves it
	} else if m.upper, m.work, err = existingPair(o.Upper, o.Work); err != nil {
		return err
	}
	if err := m.checkWritable(ctx); err != nil {
		return err
	}
	target := o.Target
	if real, err := filepath.EvalSymlinks(target); err == nil {
		target = real // Unmount compares it with a resolved path
	}
	return m.recordWriting(ctx, target)
}

// existingPair resolves the directories that the caller named.
func existingPair(upper, work string) (string, string, error) {
	var real [2]string
	for i, dir := range []struct{ what, path string }{{"upper", upper}, {"work", work}} {
		found, err := fsat.OpenPlace(dir.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", "", fmt.Errorf("the %s dir %q does not exist: %w", dir.what, dir.path, err)
		case errors.Is(err, unix.ENOTDIR):
			return "", "", fmt.Errorf("the %s dir %q is no directory: %w", dir.what, dir.path, err)
		case err != nil:
			return "", "", fmt.Errorf("the %s dir %q: %w", dir.what, dir.path, err)
		}
		real[i], err = os.Readlink(mounts.DirPath(found))
		if err := errors.Join(err, found.Close()); err != nil {
			return "", "", err
		}
	}
	return real[0], real[1], nil
}

// makePair makes a pair in the store, and returns its directory, locked.
func (m *Mount) makePair(ctx context.Context) (*os.File, error) {
	if err := durable.Mkdir(ctx, m.store.Dir(), writableDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	parent, err := durable.OpenDirAt(m.store.Dir(), writableDir)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	locks, err := durable.OpenDirAt(m.store.Dir(), storedirs.Locks)
	if err != nil {
		return nil, err
	}
	defer locks.Close()
	if err := removeUnmade(ctx, m.store, parent, locks); err != nil {
		return nil, err
	}
	name, pair, err := stagingdir.Make(ctx, parent, locks, "")
	m.pair = name
	if err == nil {
		err = m.fillPair(ctx, pair)
	}
	if err != nil && pair != nil {
		return nil, errors.Join(err, pair.Close())
	}
	return pair, err
}

// fillPair makes the directories of a pair.
func (m *Mount) fillPair(ctx context.Context, pair *os.File) error {
	for _, dir := range []string{"upper", "work"} {
		if err := durable.Mkdir(ctx, pair, dir, 0o755); err != nil {
			return err
		}
	}
	path, err := filepath.EvalSymlinks(filepath.Join(m.store.Path(), writableDir, m.pair))
	if err != nil {
		return err
	}
	m.upper, m.work = filepath.Join(path, "upper"), filepath.Join(path, "work")
	return m.dressUpper(ctx, pair)
}

// dressUpper gives a new upper directory the attributes of the image's root, because a
// merged directory shows those of its topmost layer.
func (m *Mount) dressUpper(ctx context.Context, pair *os.File) error {
	top, err := m.openTop(ctx)
	if err != nil {
		return err
	}
	defer top.Close()
	a, _, err := lowerdir.Attributes(top)
	if err != nil {
		return err
	}
	a.UID, a.GID = m.shift(a.UID, a.GID)
	upper, err := durable.OpenDirAt(pair, "upper")
	if err != nil {
		return err
	}
	return errors.Join(lowerdir.SetAttributes(upper, a, m.store.Format().Form), upper.Close())
}

func (m *Mount) recordWriting(ctx context.Context, target string) error {
	driver := AutoDriver
	if m.fuse() {
		driver = FUSEDriver
	}
	boot, err := durable.BootID()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(Writing{
		Manifest: m.manifest, Source: m.source, Target: target, Volatile: m.volatile, Driver: driver,
		Boot: boot, Made: time.Now().UTC().Truncate(time.Second),
	})
	if err != nil {
		return err
	}
	dir, err := durable.OpenDir(m.work)
	if err != nil {
		return err
	}
	return errors.Join(durable.WriteFile(ctx, dir, writingFile, append(raw, '\n'), 0o600), dir.Close())
}

// readWriting reads the record in a work directory. It is only a hint: in a work
// directory that the caller named anybody may have made it.
func readWriting(work string) (Writing, bool) {
	dir, err := durable.OpenDir(work)
	if err != nil {
		return Writing{}, false
	}
	defer dir.Close()
	raw, err := fsat.ReadFile(dir, writingFile, 1<<16)
	var w Writing
	return w, err == nil && json.Unmarshal(raw, &w) == nil
}

// Discard removes the upper and work directories that Assemble made in the store, for
// a mount that will not be used. Without such directories it does nothing.
func (m *Mount) Discard(ctx context.Context) error {
	if m.pair == "" {
		return nil
	}
	name := m.pair
	m.pair, m.upper, m.work = "", "", ""
	return removePair(ctx, m.store, name)
}
