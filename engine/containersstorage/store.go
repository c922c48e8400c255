// SPDX-License-Identifier: Apache-2.0

package containersstorage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/overlaystore"
)

// errForeign: the directory is somebody else's.
var errForeign = errkind.New(errkind.Usage, "not an additional image store of layerctl's")

// The names in the directory, see the package's comment.
const (
	markerFile = "layerctl.json"
	lockFile   = "layerctl.lock"
	stagingDir = "layerctl-staging"
	overlayDir = "overlay"
	linksDir   = "l" // in overlayDir
	imagesDir  = "overlay-images"
	layersDir  = "overlay-layers"
	imagesFile = "images.json"
	layersFile = "layers.json"
	imagesLock = "images.lock"
	layersLock = "layers.lock"
)

const marker = `{"format":1}` + "\n"

// Options say how the store is used. The zero value is right for one whose
// engine's containers are all known to nobody.
type Options struct {
	// Existing opens a store that is there: the error is [overlaystore.ErrNotFound] where
	// there is none. False makes one.
	Existing bool
	// GraphRoots are the directories in which engines keep containers and images
	// of their own (graphroot in storage.conf): what stands there on a layer of
	// this store keeps it. Those that do not exist are passed over.
	GraphRoots []string
}

// Store is an open additional image store. Many processes may have the same one
// open.
type Store struct {
	root    *os.File
	path    string
	options Options
}

// Open opens the additional image store at dir. A directory that is missing or
// empty becomes one, with mode 0700. The error is
// [errkind.Usage] for a directory that holds something else, and fs.ErrPermission for one that another user owns
// or may write to.
func Open(ctx context.Context, dir string, o Options) (_ *Store, err error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, _, err := storedirs.OpenRoot(ctx, path, o.Existing)
	if o.Existing && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, overlaystore.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	s := &Store{root, path, o}
	if err := storedirs.CheckOwner(root); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), root.Close())
	}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), root.Close())
	}
	return s, nil
}

// Close closes the store's directory.
func (s *Store) Close() error { return s.root.Close() }

// Path is the store's absolute path.
func (s *Store) Path() string { return s.path }

// begin makes the store of an empty directory.
func (s *Store) begin(ctx context.Context) error {
	known, err := s.known()
	if err != nil || known {
		return err
	}
	if s.options.Existing {
		return errForeign
	}
	if err := s.mayBegin(); err != nil {
		return err
	}
	unlock, err := durable.Lock(ctx, s.root, lockFile, durable.Exclusive, nil)
	if err != nil {
		return err
	}
	// Another process may have made it meanwhile, and given images.
	if known, err = s.known(); err == nil && !known {
		err = s.create(ctx)
	}
	return errors.Join(err, unlock())
}

// known says whether the directory is this package's.
func (s *Store) known() (bool, error) {
	raw, err := fsat.ReadFile(s.root, markerFile, 1<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var format struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(raw, &format); err != nil {
		return false, fmt.Errorf("%s: %w", markerFile, err)
	}
	if format.Format != 1 {
		return false, errkind.With(errkind.Filesystem, fmt.Errorf("%s: format %d is newer than this program", markerFile, format.Format))
	}
	return true, nil
}

// mayBegin refuses a directory with anything in it that a begin that was cut
// short did not leave there, unless it has become a store since the caller looked.
func (s *Store) mayBegin() error {
	names, err := fsat.Names(s.root)
	if err != nil || slices.Contains(names, markerFile) {
		return err
	}
	own := []string{lockFile, stagingDir, overlayDir, imagesDir, layersDir}
	for _, name := range names {
		if !slices.Contains(own, name) && !strings.HasPrefix(name, durable.TempPrefix) {
			return fmt.Errorf("it has %.200q in it: %w; choose a directory that is empty or does not exist", name, errForeign)
		}
	}
	if slices.Contains(names, overlayDir) && !slices.Contains(names, lockFile) {
		return fmt.Errorf("an engine keeps images of its own there: %w; choose a directory that is empty or does not exist", errForeign)
	}
	return nil
}

func (s *Store) create(ctx context.Context) error {
	for _, dir := range []string{stagingDir, imagesDir, layersDir, overlayDir} {
		if err := durable.Mkdir(ctx, s.root, dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	overlay, err := durable.OpenDirAt(s.root, overlayDir)
	if err != nil {
		return err
	}
	defer overlay.Close()
	if err := durable.Mkdir(ctx, overlay, linksDir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := durable.SyncDir(ctx, overlay); err != nil {
		return err
	}
	// Engines make lock files that are missing, but an image store on a
	// read-only mount has to have them.
	unlock, err := s.lockRecords(ctx)
	if err != nil {
		return err
	}
	err = errors.Join(writeList(ctx, s.root, layersDir, layersFile, []*layerRecord{}), writeList(ctx, s.root, imagesDir, imagesFile, []*imageRecord{}))
	if err := errors.Join(err, unlock()); err != nil {
		return err
	}
	return durable.WriteFile(ctx, s.root, markerFile, []byte(marker), 0o600)
}

// change calls do while nobody else changes anything, and with what died
// processes left cleared away.
func (s *Store) change(ctx context.Context, do func(*records) error) (err error) {
	unlock, err := durable.Lock(ctx, s.root, lockFile, durable.Exclusive, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	r, err := s.records()
	if err != nil {
		return err
	}
	if err := s.tidy(ctx, r); err != nil {
		return err
	}
	return do(r)
}
