// SPDX-License-Identifier: Apache-2.0

package partial

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/spare"
	"github.com/layerctl/layerctl/layer"
)

// Journal is files.zst of a layer that is being filled. It is begun at the first
// record: of the many layers that a pull stages at once few are being filled, and
// an encoder takes memory.
type Journal struct {
	Writers spare.List[*journal.Writer]
	Again   bool // who goes on with the layer adds all records again
	file    *os.File
	w       *journal.Writer
	saver   *Saver // of checkpoints; nil before the first
}

// OnItsWay reports whether the layer has checkpoints.
func (j *Journal) OnItsWay() bool { return j.saver != nil }

// Save makes a checkpoint of the layer in dir, behind the last record. It is synced
// once the layer is settle old, and so much later again, or 50 times what a sync
// takes; where a power cut does not count nothing is.
func (j *Journal) Save(ctx context.Context, dir *os.File, sync bool, settle time.Duration, c *Checkpoint) (err error) {
	if err := j.Begin(dir); err != nil {
		return err
	}
	if j.saver == nil {
		j.saver = &Saver{Dir: dir, Sync: sync}
	}
	if !j.Again {
		if c.Journal, err = j.w.Mark(); err != nil {
			return err
		}
	}
	return j.saver.Save(ctx, settle, c)
}

// Settle makes the last checkpoint durable, when the process will not go on, if that
// is done before ctx ends. It is false where nobody can go on with the layer.
func (j *Journal) Settle(ctx context.Context) bool {
	return j.saver != nil && j.saver.Settle(ctx) == nil
}

func (j *Journal) writer() (*journal.Writer, error) {
	if w, ok := j.Writers.Take(); ok {
		return w, nil
	}
	return journal.NewWriter()
}

// Begin begins the file in a layer's directory, where that was not done.
func (j *Journal) Begin(dir *os.File) (err error) {
	if j.w != nil {
		return nil
	}
	if j.file, err = fsat.Create(dir, journal.Name, 0o600); err != nil {
		return err
	}
	if j.w, err = j.writer(); err != nil {
		return err
	}
	return j.w.Begin(j.file)
}

// resume goes on with the file at a mark, or begins it again at none; what comes
// after it goes.
func (j *Journal) resume(dir *os.File, m journal.Mark) (err error) {
	if j.file, err = fsat.OpenCut(dir, journal.Name, m.Bytes); err != nil {
		return err
	}
	if j.w, err = j.writer(); err != nil {
		return err
	}
	if m.Bytes == 0 {
		return j.w.Begin(j.file)
	}
	j.w.Resume(j.file, m)
	return nil
}

// Add appends one record.
func (j *Journal) Add(e *layer.Entry) error { return j.w.Add(e) }

// End completes the file of the layer in dir, and removes its checkpoints.
func (j *Journal) End(ctx context.Context, dir *os.File) error {
	if err := j.Begin(dir); err != nil {
		return err
	}
	if j.saver != nil {
		if err := j.saver.End(ctx); err != nil {
			return err
		}
	}
	if err := errors.Join(j.w.End(), j.file.Close()); err != nil {
		return err
	}
	j.Writers.Keep(j.w)
	j.w = nil
	return nil
}

// Wait waits until no checkpoint is being written.
func (j *Journal) Wait() {
	if j.saver != nil {
		_ = j.saver.wait(context.Background()) // nobody goes on with the layer
	}
}

// Close lets go of a file that nobody wants.
func (j *Journal) Close() error {
	j.Wait()
	if j.w != nil {
		j.w.Close()
		j.w = nil
	}
	if j.file == nil {
		return nil
	}
	if err := j.file.Close(); !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}
