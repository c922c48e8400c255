// SPDX-License-Identifier: Apache-2.0

package given

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
)

// living is how the files end that say which givings live without the lock of
// the records: such a file is locked as long as its process lives.
const living = ".living"

// Begin says that a giving lives, which has not locked the records yet, until
// release.
func Begin(ctx context.Context, root *os.File, id string) (release func() error, err error) {
	dir, err := durable.OpenOrMakeDirAt(ctx, root, folder, 0o700)
	if err != nil {
		return nil, fmt.Errorf("begin to give: %w", err)
	}
	unlock, err := mark(ctx, dir, id+living)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin to give: %w", err), dir.Close())
	}
	return func() error {
		return errors.Join(gone(ctx, dir, id+living), unlock(), dir.Close())
	}, nil
}

// marksLock is held while a mark is made, and while marks are looked at: who looks
// removes a file that is not locked yet.
const marksLock = "marks"

// mark makes the file name, which is locked until unlock.
func mark(ctx context.Context, dir *os.File, name string) (unlock func() error, err error) {
	done, err := durable.Lock(ctx, dir, marksLock, durable.Exclusive, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	unlock, err = durable.TryLock(ctx, dir, name, durable.Exclusive)
	if err == nil && unlock == nil {
		err = fmt.Errorf("%s is taken", name)
	}
	return unlock, err
}

// gone removes a file, which another process may have removed.
func gone(ctx context.Context, dir *os.File, name string) error {
	if err := durable.Remove(context.WithoutCancel(ctx), dir, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Living are the givings that have begun and live. What is left of others is
// removed.
func (r *Records) Living(ctx context.Context) (ids map[string]bool, err error) {
	done, err := durable.Lock(ctx, r.dir, marksLock, durable.Exclusive, nil)
	if err != nil {
		return nil, fmt.Errorf("look which givings live: %w", err)
	}
	defer func() { err = errors.Join(err, done()) }()
	names, err := fsat.Names(r.dir)
	if err != nil {
		return nil, fmt.Errorf("look which givings live: %w", err)
	}
	ids = map[string]bool{}
	for _, name := range names {
		id, ok := strings.CutSuffix(name, living)
		if !ok {
			continue
		}
		unlock, err := durable.TryLock(ctx, r.dir, name, durable.Exclusive)
		switch {
		case err != nil:
		case unlock == nil:
			ids[id] = true
		default:
			err = errors.Join(gone(ctx, r.dir, name), unlock())
		}
		if err != nil {
			return nil, fmt.Errorf("look which givings live: %w", err)
		}
	}
	return ids, nil
}
