// SPDX-License-Identifier: Apache-2.0

package partial

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/layercheck"
	"github.com/layerctl/layerctl/internal/tarlayer"
	"github.com/layerctl/layerctl/layer"
)

// partSuffix ends the name of a layer that is not whole, behind its digest.
const partSuffix = separator + "part"

// Begin moves the directory name in staging, that of a layer that has its first
// checkpoint, into the partial layers, as Add does.
func Begin(ctx context.Context, root, staging *os.File, name string, id digest.Digest) (*os.File, string, error) {
	return move(ctx, root, staging, name, id.Encoded()+partSuffix)
}

// Part is a layer that is not whole, as its checkpoint says it is, opened; who goes
// on with it closes it.
type Part struct {
	Layer
	Checkpoint *Checkpoint
	Tar        *tarlayer.Writer // in a store of them
}

// Begun is the state of the last checkpoint of a layer that is not whole, and the
// bytes of its files that have a record, or of its tar; nil where there is none.
func (l Layers) Begun(id digest.Digest) (state []byte, bytes int64) {
	in, err := durable.OpenDirAt(l.Root, dirName)
	if err != nil {
		return nil, 0
	}
	defer in.Close()
	dir, err := durable.OpenDirAt(in, id.Encoded()+partSuffix)
	if err != nil {
		return nil, 0
	}
	defer dir.Close()
	list, _, err := readCheckpoints(dir, id, l.Left.Boot)
	if err != nil {
		return nil, 0
	}
	return list[0].State, list[0].Content
}

// OpenPart opens a layer that an interrupted pull has not finished: what came after
// its last checkpoint is removed, and every file compared with the journal, as the
// disk has it; a tar is left to compare for who reads it. It is nil where there is
// none; what differs is removed. Its journal is j then.
func (l Layers) OpenPart(ctx context.Context, id digest.Digest, j *Journal, sync bool) (*Part, error) {
	in, err := durable.OpenDirAt(l.Root, dirName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := &Part{Layer: Layer{In: in, Name: id.Encoded() + partSuffix}}
	there, err := fsat.Exists(in, p.Name)
	if err != nil || !there {
		return nil, errors.Join(err, in.Close())
	}
	number, err := l.takeUp(ctx, p, id, j)
	if err == nil {
		j.saver = &Saver{Dir: p.Dir, Sync: sync, number: number}
		j.saver.last, err = p.Checkpoint.encode()
		return p, err
	}
	for _, dir := range []*os.File{p.Dir, p.FS} {
		if dir != nil {
			err = errors.Join(err, dir.Close())
		}
	}
	if p.Tar != nil {
		err = errors.Join(err, p.Tar.Close())
	}
	err = errors.Join(err, j.Close())
	if ctx.Err() == nil && !fsat.IsShortage(err) {
		l.Left.Log.Info("a layer of an interrupted pull cannot be gone on with, fetch it from its start", "layer", id, "error", err)
		err = l.Left.Trash(ctx, in, p.Name)
	}
	return nil, errors.Join(err, in.Close())
}

// takeUp brings a layer to what a checkpoint says. number is no less than that of
// any checkpoint that there is.
func (l Layers) takeUp(ctx context.Context, p *Part, id digest.Digest, j *Journal) (number uint64, err error) {
	if p.Dir, err = durable.OpenDirAt(p.In, p.Name); err != nil {
		return 0, err
	}
	list, number, err := readCheckpoints(p.Dir, id, l.Left.Boot)
	if err != nil {
		return 0, err
	}
	if err := removeUnwritten(p.Dir); err != nil {
		return 0, err
	}
	if p.FS, err = l.openLower(p.Dir); err != nil {
		return 0, err
	}
	// So that what is compared is what the disk has.
	if err := durable.SyncFS(ctx, p.Dir); err != nil {
		return 0, err
	}
	for _, p.Checkpoint = range list {
		if err = l.goBack(ctx, p); err == nil || ctx.Err() != nil || fsat.IsShortage(err) {
			break
		}
	}
	if err != nil {
		return 0, err
	}
	if err := durable.Fault(ctx, "cut files.zst"); err != nil {
		return 0, err
	}
	return number, j.resume(p.Dir, p.Checkpoint.Journal)
}

// removeUnwritten removes the durable checkpoint that a process died over.
func removeUnwritten(dir *os.File) error {
	names, err := fsat.Names(dir)
	for _, name := range names {
		if strings.HasPrefix(name, durable.TempPrefix) {
			err = errors.Join(err, fsat.RemoveAll(dir, name))
		}
	}
	return err
}

// goBack brings a layer's files to what its checkpoint says. Of a tar only the size
// is looked at here: the stream that goes on with it compares the bytes, and where
// they differ the layer starts over.
func (l Layers) goBack(ctx context.Context, p *Part) (err error) {
	if p.FS == nil {
		if err := durable.Fault(ctx, "cut layer.erofs"); err != nil {
			return err
		}
		p.Tar, err = tarlayer.GoOn(p.Dir, p.Checkpoint.Content, l.Tar)
		return err
	}
	t := takingUp{dir: p.Dir, fs: p.FS, mark: &p.Checkpoint.Journal, file: string(p.Checkpoint.File)}
	if err := t.clean(ctx); err != nil {
		return err
	}
	return t.compare(ctx, l.Form)
}

// takingUp is a lower dir on its way back to a checkpoint.
type takingUp struct {
	dir, fs *os.File
	mark    *journal.Mark
	file    string // that has no record, "" for none
}

// clean removes what has no record, and puts the times of directories back, which
// that was made in.
func (t *takingUp) clean(ctx context.Context) error {
	j, err := journal.ReadIndex(t.dir, t.mark)
	if err != nil {
		return err
	}
	if err := t.remove(ctx, j, "."); err != nil {
		return err
	}
	r, err := journal.OpenUntil(t.dir, t.mark)
	if err != nil {
		return err
	}
	defer r.Close()
	var index uint32
	for e, err := range r.All() {
		if err != nil {
			return err
		}
		i := index
		index++
		if e.Type != layer.Directory || !j.Holds(i, e.Path) {
			continue
		}
		if err := t.date(e); err != nil {
			return err
		}
	}
	return nil
}

// remove removes what has no record from a directory and all below it.
func (t *takingUp) remove(ctx context.Context, j *journal.Index, at string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, err := fsat.OpenDir(t.fs, at)
	if err != nil {
		return err
	}
	defer dir.Close()
	list, err := dir.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, d := range list {
		p := path.Join(at, d.Name())
		switch {
		case p == t.file:
		case !j.Has(p):
			if err := durable.Fault(ctx, "remove"); err != nil {
				return err
			}
			if err := fsat.RemoveAll(dir, d.Name()); err != nil {
				return err
			}
		case d.IsDir():
			if err := t.remove(ctx, j, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// date gives a directory the time that its record has.
func (t *takingUp) date(e layer.Entry) error {
	dir, err := fsat.OpenDir(t.fs, e.Path)
	if err != nil {
		return err
	}
	defer dir.Close()
	ts, err := unix.TimeToTimespec(e.ModTime)
	if err != nil {
		return err
	}
	return fsat.SetTimesFD(int(dir.Fd()), ts, ts)
}

// compare compares all that has a record.
func (t *takingUp) compare(ctx context.Context, form layer.Form) error {
	c := layercheck.New(layercheck.Options{Form: form, Uncached: true, Until: t.mark})
	if err := c.Run(ctx, t.dir, t.fs); err != nil {
		return err
	}
	for _, d := range c.Result().Differences {
		if d.Path != t.file || d.Field != "extra" {
			return fmt.Errorf("%w: %.200q: %s is %s, was %s", journal.ErrDamaged, d.Path, d.Field, d.Got, d.Want)
		}
	}
	return nil
}
