// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/fsverity"
	"github.com/layerctl/layerctl/internal/stagingdir"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/internal/tarlayer"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore/internal/partial"
)

// Staging is a layer being filled. It is invisible until [Store.Commit], and
// holds the layer's lock, so that no other process fetches the same layer.
// Its methods are for one goroutine at a time.
type Staging struct {
	store   *Store
	diffID  digest.Digest // a fix layer's is a chainID
	parent  *os.File      // staging/, or partial/ where the layer is kept
	name    string        // of dir in parent
	unlock  func() error
	dir     *os.File // flocked; opened before the first byte is written, so that its syncfs reports every error
	fs      *os.File // the lower dir; nil where the store keeps tars
	tar     *tarlayer.Writer
	journal partial.Journal
	opened  time.Time
	disk    int64  // bytes of all files
	raw     []byte // layer.json
	isLayer bool   // and no fix layer or index
	sealed  bool
	done    bool // committed, discarded or left
	private bool // nothing of it is left for another process
	kept    bool // it lies in partial/
}

// Stage begins a layer. Where another process is filling the same layer, Stage
// logs that and waits; the error is ErrExists if that process commits the layer,
// and if it dies Stage takes over. The caller must end the staging with Commit or
// Discard.
//
// Two processes that each hold a layer which the other waits for would wait
// for ever. So hold no other staging while Stage may wait: begin all layers
// with [Store.TryStage], commit those that were free, and only then Stage the
// rest, one after the other.
func (s *Store) Stage(ctx context.Context, diffID digest.Digest) (*Staging, error) {
	return s.stageLayer(ctx, diffID, takeLock)
}

// TryStage is [Store.Stage] without the wait: the error is ErrBusy when
// another process is filling the layer.
func (s *Store) TryStage(ctx context.Context, diffID digest.Digest) (*Staging, error) {
	return s.stageLayer(ctx, diffID, tryLock)
}

// StageBeside is [Store.Stage] without the layer's lock: it does not wait for a
// process that fills the same layer, for that one's image may claim a layer that its
// blob does not hold. The first of them to commit wins; the others use its layer.
func (s *Store) StageBeside(ctx context.Context, diffID digest.Digest) (*Staging, error) {
	g, err := s.stageLayer(ctx, diffID, noLock)
	if err == nil {
		g.private = true
	}
	return g, err
}

func noLock(context.Context, *Store, string) (func() error, error) {
	return func() error { return nil }, nil
}

// lockFunc takes the lock of a name in locks/.
type lockFunc func(ctx context.Context, s *Store, name string) (unlock func() error, err error)

func takeLock(ctx context.Context, s *Store, name string) (func() error, error) {
	return durable.Lock(ctx, s.dirs[storedirs.Locks], name, durable.Exclusive, func() {
		s.log.Info("waiting for another process that is fetching the same layer", "layer", name)
	})
}

func tryLock(ctx context.Context, s *Store, name string) (func() error, error) {
	unlock, err := durable.TryLock(ctx, s.dirs[storedirs.Locks], name, durable.Exclusive)
	if err == nil && unlock == nil {
		err = fmt.Errorf("%w: another process is fetching it", ErrBusy)
	}
	return unlock, err
}

func (s *Store) stageLayer(ctx context.Context, diffID digest.Digest, lock lockFunc) (*Staging, error) {
	g, err := s.stage(ctx, diffID, "", lock, s.HasLayer)
	if err != nil {
		return nil, fmt.Errorf("stage layer %s: %w", diffID, s.Explain(err))
	}
	return g, nil
}

// stage begins a layer, or with fixPrefix a fix layer or an index. Once it has the
// lock it calls present; where that is true the error is ErrExists.
func (s *Store) stage(ctx context.Context, id digest.Digest, prefix string, lock lockFunc, present func(digest.Digest) (bool, error)) (*Staging, error) {
	name, err := storedirs.Name(id)
	if err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, s, prefix+name)
	if err != nil {
		return nil, err
	}
	g := &Staging{store: s, diffID: id, unlock: unlock, isLayer: prefix == "", journal: partial.Journal{Writers: s.writers, Again: s.tars()}}
	exists, err := present(id)
	if err == nil && exists {
		err = ErrExists
	}
	if err == nil {
		err = g.open(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, g.Discard())
	}
	return g, nil
}

func (g *Staging) open(ctx context.Context) (err error) {
	s := g.store
	g.parent = s.dirs[storedirs.Staging]
	g.name, g.dir, err = stagingdir.Make(ctx, g.parent, s.dirs[storedirs.Locks], s.boot+"-")
	if errors.Is(err, stagingdir.ErrTaken) {
		err = ErrBusy
	}
	if err != nil {
		return err
	}
	g.opened = time.Now()
	if s.tars() {
		return g.openTar()
	}
	if err := durable.Mkdir(ctx, g.dir, storedirs.LowerDir, 0o755); err != nil {
		return err
	}
	if g.fs, err = durable.OpenDirAt(g.dir, storedirs.LowerDir); err != nil {
		return err
	}
	// The umask may have taken bits that others need to see the mount's root.
	return g.fs.Chmod(0o755)
}

// openTar creates the file of a layer. Package tarlayer creates that of an index.
func (g *Staging) openTar() (err error) {
	if g.isLayer {
		g.tar, err = tarlayer.Create(g.dir, g.store.tarOptions())
	}
	return err
}

// closeLower closes the lower dir or the tar.
func (g *Staging) closeLower() (err error) {
	if g.tar != nil {
		err, g.tar = g.tar.Close(), nil
	}
	if g.fs != nil {
		err = errors.Join(err, g.fs.Close())
	}
	return err
}

// mostWriters is how many journal writers are kept for reuse: pulls rarely fill
// more layers at a time.
const mostWriters = 4

// Dir is the lower dir to fill: empty, mode 0755. The staging owns it. It is nil
// in a store of tars.
func (g *Staging) Dir() *os.File { return g.fs }

// Tar takes the layer's tar in a store of tars; elsewhere it is nil. Recorded
// entries say where in the tar their content is.
func (g *Staging) Tar() io.ReadWriter {
	if g.tar == nil {
		return nil
	}
	return g.tar
}

// DiffID is that of the layer that is being staged.
func (g *Staging) DiffID() digest.Digest { return g.diffID }

// Record adds e to files.zst. Entries are a journal, see [layer.Entry].
func (g *Staging) Record(e layer.Entry) error {
	if g.sealed || g.done {
		return fmt.Errorf("record %q: the staging of layer %s is closed", e.Path, g.diffID)
	}
	if err := g.journal.Begin(g.dir); err != nil {
		return fmt.Errorf("record layer %s: %w", g.diffID, err)
	}
	if e.Type == layer.Regular {
		g.disk += e.Size
	}
	return g.journal.Add(&e)
}

// Seal declares the layer complete and verified, and writes its journal and rec.
// The layer must not be changed afterwards; in a store with fs-verity it cannot be.
func (g *Staging) Seal(ctx context.Context, rec LayerRecord) error {
	if g.sealed || g.done {
		return fmt.Errorf("seal layer %s: the staging is closed", g.diffID)
	}
	rec.DiffID = g.diffID
	if g.tar != nil {
		rec.DiskSize = rec.Size
	}
	if rec.DiskSize == 0 {
		rec.DiskSize = g.disk
	}
	if err := g.seal(ctx, rec); err != nil {
		return fmt.Errorf("seal layer %s: %w", g.diffID, err)
	}
	g.sealed = true
	if g.isLayer {
		g.store.keepStackFacts(g.diffID, &rec)
	}
	return nil
}

func (g *Staging) seal(ctx context.Context, rec LayerRecord) (err error) {
	if g.tar != nil {
		if err := errors.Join(durable.Fault(ctx, "write layer.erofs"), g.tar.End()); err != nil {
			return err
		}
	}
	if err := durable.Fault(ctx, "write files.zst"); err != nil {
		return err
	}
	if err := g.journal.End(ctx, g.dir); err != nil {
		return err
	}
	raw, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if err := durable.Fault(ctx, "write layer.json"); err != nil {
		return err
	}
	f, err := fsat.Create(g.dir, recordFile, 0o600)
	if err != nil {
		return err
	}
	g.raw = append(raw, '\n')
	_, err = f.Write(g.raw)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return tarlayer.Protect(ctx, g.dir, g.store.files())
}

// files enable fs-verity in a store that has it, else nil.
func (s *Store) files() fsverity.Files {
	if s.format.Verity {
		return s.verity
	}
	return nil
}

// Discard removes what was staged and releases the layer's lock. After a commit,
// or a second time, it does nothing, so that it can be deferred.
func (g *Staging) Discard() error {
	if g.done {
		return nil
	}
	g.done = true
	g.journal.Wait()
	var errs []error
	if g.name != "" {
		// No fault point and no context: this cleans up after a fault.
		errs = append(errs, fsat.RemoveAll(g.parent, g.name))
	}
	return errors.Join(append(errs, g.close())...)
}

// close closes all files, and releases the layer's lock last.
func (g *Staging) close() error {
	errs := []error{g.journal.Close()}
	if g.tar != nil {
		errs = append(errs, g.tar.Close())
	}
	for _, f := range []*os.File{g.fs, g.dir} {
		if f == nil {
			continue
		}
		if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if g.kept {
		errs = append(errs, g.parent.Close())
	}
	return errors.Join(append(errs, g.unlock())...)
}
