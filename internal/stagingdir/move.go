// SPDX-License-Identifier: Apache-2.0

package stagingdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
)

// Move is a directory that is whole, and the place where it shall be seen.
type Move struct {
	From  *os.File
	Name  string
	To    *os.File
	Final string
}

// MoveAll moves directories to their places, one after the other, and syncs a place
// before it goes on to the next, unless noSync. On an error those that moved are taken
// back, the last one first, for what is visible must be durable; but not from a place
// that was synced, where somebody may rely on them already. moved are the numbers of
// those that are in their places, after an error too: it leaves out what somebody else
// has put there first.
func MoveAll(ctx context.Context, moves []Move, noSync bool) (moved []int, err error) {
	stay := 0 // so many of moved are durable
	for i, m := range moves {
		err = durable.RenameNoReplace(ctx, m.From, m.Name, m.To, m.Final)
		if err == nil {
			moved = append(moved, i)
		} else if !errors.Is(err, fs.ErrExist) {
			break
		}
		err = nil
		if last := i+1 == len(moves) || moves[i+1].To != m.To; last && !noSync {
			if err = durable.SyncDir(ctx, m.To); err != nil {
				break
			}
			stay = len(moved)
		}
	}
	if err == nil {
		return moved, nil
	}
	for _, i := range slices.Backward(moved[stay:]) {
		err = errors.Join(err, moves[i].takeBack())
	}
	return moved[:stay], err
}

func (m Move) takeBack() error {
	err := unix.Renameat2(int(m.To.Fd()), m.Final, int(m.From.Fd()), m.Name, unix.RENAME_NOREPLACE)
	if err != nil {
		return fmt.Errorf("take back %s: %w", m.Final, err)
	}
	return nil
}

// Exchange swaps the directory with the one that is in its place, which must exist.
// That one is locked before, so that nobody takes it for one that a dead process left
// in staging, until the caller closes old.
func (m Move) Exchange(ctx context.Context) (old *os.File, err error) {
	if old, err = durable.OpenDirAt(m.To, m.Final); err != nil {
		return nil, err
	}
	err = durable.Flock(ctx, old, durable.Shared, nil)
	if err == nil {
		err = durable.Exchange(ctx, m.From, m.Name, m.To, m.Final)
	}
	if err != nil {
		return nil, errors.Join(err, old.Close())
	}
	return old, nil
}
