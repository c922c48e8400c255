// SPDX-License-Identifier: Apache-2.0

package given

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
)

const journals = "journals"

// KeepJournal keeps, durably, the journal of a layer whose directory in the
// store is layer.
func (r *Records) KeepJournal(ctx context.Context, diffID digest.Digest, layer *os.File) error {
	if err := r.keepJournal(ctx, diffID, layer); err != nil {
		return fmt.Errorf("keep the journal of layer %s: %w", diffID, err)
	}
	return nil
}

func (r *Records) keepJournal(ctx context.Context, diffID digest.Digest, layer *os.File) (err error) {
	all, err := durable.MakeDirAt(ctx, r.dir, journals, 0o700)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	to, err := durable.MakeDirAt(ctx, all, diffID.Encoded(), 0o700)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if err := durable.Fault(ctx, "link journal"); err != nil {
		return err
	}
	err = unix.Linkat(int(layer.Fd()), journal.Name, int(to.Fd()), journal.Name, 0)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return &os.LinkError{Op: "link", Old: layer.Name() + "/" + journal.Name, New: to.Name(), Err: err}
	}
	return durable.SyncDir(ctx, to)
}

// OpenJournal opens the directory that has the journal of a layer which was
// handed over, of the store whose directory is root.
func OpenJournal(root *os.File, diffID digest.Digest) (*os.File, error) {
	if err := diffID.Validate(); err != nil {
		return nil, err
	}
	return durable.OpenDirAt(root, folder+"/"+journals+"/"+diffID.Encoded())
}

// Forget removes the record of an image that its engine no longer has, and the
// journals that no other record needs.
func (r *Records) Forget(ctx context.Context, root *os.File, rec Record) error {
	if err := r.Remove(ctx, rec); err != nil {
		return err
	}
	list, err := List(root)
	if err != nil {
		return err // what a record that cannot be read needs is not known
	}
	if err := r.sweep(ctx, list); err != nil {
		return fmt.Errorf("remove journals of layers that were handed over: %w", err)
	}
	return nil
}

func (r *Records) sweep(ctx context.Context, list []Record) error {
	needed := map[string]bool{}
	for _, rec := range list {
		for _, diffID := range rec.Layers {
			if rec.HandedOver {
				needed[diffID.Encoded()] = true
			}
		}
	}
	all, err := durable.OpenDirAt(r.dir, journals)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer all.Close()
	names, err := fsat.Names(all)
	if err != nil {
		return err
	}
	for _, name := range names {
		if needed[name] {
			continue
		}
		if err := errors.Join(durable.Fault(ctx, "remove journal"), fsat.RemoveAll(all, name)); err != nil {
			return err
		}
	}
	return nil
}
