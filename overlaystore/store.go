// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsverity"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/spare"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/layer"
)

// Options are how to use a store. The zero value is right for most.
type Options struct {
	// Logger is told what the store waits for and what it clears away; nil is
	// silent.
	Logger *slog.Logger
	// NoSync leaves out the slow step of a commit, which writes the layers' data to
	// the disk. Layers that are committed without it count as absent after the next
	// boot. False means that a committed layer survives a power cut.
	NoSync bool
	// Existing opens only a store that exists: the error is ErrNotFound where there
	// is none. False creates one there.
	Existing bool
	// KeepLeftovers does not clear away what processes that died have left, so that
	// it can be counted; false clears it away first.
	KeepLeftovers bool
	// IDs is the form of owners. It decides the form of a store that is created;
	// an existing store of another form is refused. Empty means what probing finds
	// right, or what the existing store has.
	IDs layer.IDs
	// Whiteouts is the form of deleted names, with the same meaning. layer.XattrMarks
	// are for filesystems that refuse devices 0:0, as overlayfs itself does; they need
	// Linux 6.8.
	Whiteouts layer.Whiteouts
	// Lower is what layers become, with the same meaning, but a store is created with
	// directories where Lower is empty. layer.Tars need root and Linux 6.4, or erofsfuse.
	Lower layer.Lower
	// Verity has the kernel check the store's files as they are read (fs-verity), with
	// the same meaning. It needs layer.Tars, and from then on always a kernel and a
	// filesystem that have fs-verity.
	Verity bool
	// Reserve is the space in bytes that stays free on the store's filesystem
	// when a fix layer is made; 0 means 64 MiB, less than zero none. Layers
	// have their own, see unpack.Limits.
	Reserve int64
	verity  fsverity.Files // nil asks the kernel
}

// Store is an open store. Its methods may be called by many goroutines, and
// many processes may have the same store open.
type Store struct {
	path   string // absolute
	root   *os.File
	dirs   map[string]*os.File
	format Format
	log    *slog.Logger
	noSync bool
	verity fsverity.Files
	// existing and keepLeftovers are those of Options; readOnly is true where the
	// filesystem lets nothing be changed.
	existing, readOnly, keepLeftovers bool
	wanted                            layer.Form // Options; "" accepts any
	boot                              string     // id of this boot
	reserve                           uint64     // bytes that fix layers leave free
	// facts has the stackFacts of layers whose record was read or written, by diffID.
	facts sync.Map
	// writers are unused and wait for the next layer: an image can have hundreds.
	writers spare.List[*journal.Writer]
}

// Open opens the store at dir. A directory that is missing or empty becomes a
// store, with mode 0700, in the form that probing finds right for the
// filesystem and the caller's rights. A store on a read-only filesystem can be
// read, verified and mounted.
//
// The error is ErrUnsupported for a filesystem on which a store cannot keep its
// promises, ErrFormat for a newer format and for a directory that holds something
// else, and fs.ErrPermission for a store that another user owns or may write to.
func Open(ctx context.Context, dir string, o Options) (*Store, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store %q: %w", dir, err)
	}
	s := &Store{
		path: path, log: o.Logger, noSync: o.NoSync, existing: o.Existing, keepLeftovers: o.KeepLeftovers,
		wanted: layer.Form{IDs: o.IDs, Whiteouts: o.Whiteouts, Lower: o.Lower, Verity: o.Verity},
		verity: cmp.Or[fsverity.Files](o.verity, fsverity.Kernel{}),
		dirs:   map[string]*os.File{}, writers: make(spare.List[*journal.Writer], mostWriters),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if o.Reserve == 0 {
		o.Reserve = 64 << 20
	}
	s.reserve = uint64(max(o.Reserve, 0))
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %q: %w", path, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	if s.boot, err = durable.BootID(); err != nil {
		return err
	}
	s.root, s.readOnly, err = storedirs.OpenRoot(ctx, s.path, s.existing)
	if errors.Is(err, fs.ErrNotExist) && s.existing {
		return errNoStore
	}
	if err != nil {
		return err
	}
	if err := storedirs.CheckOwner(s.root); err != nil {
		return err
	}
	if err := s.readFormat(ctx); err != nil {
		return err
	}
	if err := storedirs.OpenAll(s.root, s.dirs); err != nil {
		return err
	}
	if s.readOnly || s.keepLeftovers {
		return nil
	}
	// Leftovers that cannot be removed do no harm.
	if err := s.reap(ctx); err != nil {
		s.log.Warn("clear away what interrupted processes left", "store", s.path, "error", err)
	}
	return nil
}

// readFormat reads store.json of the opened root, which becomes a store if it is none.
// The error is ErrFormat for a store of another form than is wanted.
func (s *Store) readFormat(ctx context.Context) error {
	raw, err := storedirs.ReadFormat(s.root)
	if errors.Is(err, fs.ErrNotExist) && s.existing {
		return errNoStore
	}
	if errors.Is(err, fs.ErrNotExist) {
		raw, err = s.create(ctx)
	}
	if err != nil {
		return err
	}
	format, err := storedirs.Parse(raw)
	if err != nil {
		return err
	}
	s.format = Format(format)
	return storedirs.CheckWanted(s.wanted, s.format.Form)
}

// create makes the opened root a store and returns its store.json.
func (s *Store) create(ctx context.Context) ([]byte, error) {
	return storedirs.Create(ctx, s.root, s.wanted, func(form layer.Form) ([]byte, error) {
		form.Lower, form.Verity = s.wanted.Lower, s.wanted.Verity
		if form.Verity {
			if err := fsverity.Try(ctx, s.verity, s.root); err != nil {
				return nil, err
			}
		}
		return storedirs.Encode(form)
	})
}

var errNoStore = fmt.Errorf("no store is there: %w", ErrNotFound)

// Close closes the store's directories. Mounts of its images stay.
func (s *Store) Close() error {
	var errs []error
	for _, dir := range s.dirs {
		errs = append(errs, dir.Close())
	}
	if s.root != nil {
		errs = append(errs, s.root.Close())
	}
	s.dirs, s.root = nil, nil
	return errors.Join(errs...)
}

// Syncs reports whether a commit makes layers durable, which it does without
// [Options.NoSync].
func (s *Store) Syncs() bool { return !s.noSync }

// Format returns the form in which the store keeps its layers.
func (s *Store) Format() Format { return s.format }

// Path is the store's absolute path.
func (s *Store) Path() string { return s.path }

// Dir is the store's directory, open. It is closed with the store.
func (s *Store) Dir() *os.File { return s.root }

// RealPath is the store's path as the kernel shows it, without symbolic links.
func (s *Store) RealPath() (string, error) { return os.Readlink(mounts.DirPath(s.root)) }

// LinkDir is the absolute path of the directory of short links.
func (s *Store) LinkDir() string { return filepath.Join(s.path, storedirs.Links) }

// Share keeps [Store.Prune] waiting until unlock is called. Hold it for moments,
// never for a transfer.
func (s *Store) Share(ctx context.Context) (unlock func() error, err error) {
	return durable.Lock(ctx, s.root, storedirs.LockFile, durable.Shared, nil)
}

// exclude waits until nobody holds [Store.Share], and lets nobody take that until
// unlock is called.
func (s *Store) exclude(ctx context.Context) (unlock func() error, err error) {
	return durable.Lock(ctx, s.root, storedirs.LockFile, durable.Exclusive, func() {
		s.log.Info("waiting for other processes that use the store", "store", s.path)
	})
}
