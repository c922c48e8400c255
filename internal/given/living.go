// SPDX-License-Identifier: Apache-2.0

package given

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
)

// living is how the files end that say which givings live without the lock of
// the records: such a file is locked as long as its process lives. It holds the
// [Place] where the giving takes a lease, as JSON.
const living = ".living"

// Place is where an engine keeps what it is given. The zero value is no engine.
type Place struct {
	Address     string `json:"address"`
	Namespace   string `json:"namespace"`
	Snapshotter string `json:"snapshotter"`
}

// Begin says that a giving lives, which has not locked the records yet, until
// release. The parameter at is where it takes a lease of the same id: whoever finds that
// it has died, also by a power cut, can end the lease there.
func Begin(ctx context.Context, root *os.File, id string, at Place) (release func() error, err error) {
	dir, err := durable.OpenOrMakeDirAt(ctx, root, folder, 0o700)
	if err != nil {
		return nil, fmt.Errorf("begin to give: %w", err)
	}
	unlock, err := mark(ctx, dir, id+living)
	if err == nil && at != (Place{}) {
		if err = note(ctx, dir, id+living, at); err != nil {
			err = errors.Join(err, gone(ctx, dir, id+living), unlock())
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin to give: %w", err), dir.Close())
	}
	return func() error {
		return errors.Join(gone(ctx, dir, id+living), unlock(), dir.Close())
	}, nil
}

// note writes into a mark, durably, where its lease is. A mark that is empty still
// has no lease yet.
func note(ctx context.Context, dir *os.File, name string, at Place) (err error) {
	raw, err := json.Marshal(at)
	if err != nil {
		return err
	}
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(raw); err != nil {
		return err
	}
	if err := durable.SyncFile(ctx, f); err != nil {
		return err
	}
	return durable.SyncDir(ctx, dir)
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

// Dead is a giving that has died, and may have left a lease of its id.
type Dead struct {
	ID string
	Place
}

// Living returns the givings that have begun and live, and those that have died: the
// caller ends their leases by [Records.End]. What is left of others that died is
// removed.
func (r *Records) Living(ctx context.Context) (ids map[string]bool, dead []Dead, err error) {
	if ids, dead, err = r.living(ctx); err != nil {
		err = fmt.Errorf("look which givings live: %w", err)
	}
	return ids, dead, err
}

func (r *Records) living(ctx context.Context) (ids map[string]bool, dead []Dead, err error) {
	done, err := durable.Lock(ctx, r.dir, marksLock, durable.Exclusive, nil)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	names, err := fsat.Names(r.dir)
	if err != nil {
		return nil, nil, err
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
			return nil, nil, err
		case unlock == nil:
			ids[id] = true
			continue
		}
		at, known := r.leaseOf(name)
		if known {
			dead = append(dead, Dead{id, at})
		} else {
			err = gone(ctx, r.dir, name)
		}
		if err := errors.Join(err, unlock()); err != nil {
			return nil, nil, err
		}
	}
	return ids, dead, nil
}

// leaseOf reads from the mark of a giving that died where its lease is. It is false
// where there is none any more: leases expire within a day.
func (r *Records) leaseOf(name string) (at Place, known bool) {
	const expired, most = 48 * time.Hour, 64 << 10
	st, err := fsat.Lstat(r.dir, name)
	if err != nil || time.Since(time.Unix(st.Mtim.Unix())) > expired {
		return at, false
	}
	raw, err := fsat.ReadFile(r.dir, name, most)
	if err != nil || json.Unmarshal(raw, &at) != nil {
		return at, false
	}
	return at, at.Address != ""
}

// End calls end with each id of those that died with a lease in the namespace of at,
// and removes the mark if end returns nil.
func (r *Records) End(ctx context.Context, dead []Dead, at Place, end func(id string) error) error {
	for _, d := range dead {
		if d.Address != at.Address || d.Namespace != at.Namespace {
			continue
		}
		if err := end(d.ID); err != nil {
			return err
		}
		if err := gone(ctx, r.dir, d.ID+living); err != nil {
			return fmt.Errorf("forget a giving that died: %w", err)
		}
	}
	return nil
}
