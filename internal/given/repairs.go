// SPDX-License-Identifier: Apache-2.0

package given

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
)

// BeginRepair records that the store gets an image once more that was handed over,
// until end is called. Where the process dies before, [EndRepair] does it.
func BeginRepair(ctx context.Context, root *os.File, rec Record) (end func() error, err error) {
	id := "repair-" + rand.Text()
	release, err := Begin(ctx, root, id, Place{})
	if err != nil {
		return nil, err
	}
	if err := update(ctx, root, rec, repairedBy(id)); err != nil {
		return nil, errors.Join(err, release())
	}
	return func() error {
		ctx := context.WithoutCancel(ctx)
		return errors.Join(update(ctx, root, rec, repairedBy("")), release())
	}, nil
}

func repairedBy(id string) func(*Records, *Record) error {
	return func(_ *Records, rec *Record) error {
		rec.Repair = id
		return nil
	}
}

// EndRepair does what is left to do of a repair of an image that has died, if one
// has, and records that. It has the records locked meanwhile, so that what another
// process has ended is not ended again; do must not open them.
func EndRepair(ctx context.Context, root *os.File, rec Record, do func() error) error {
	if rec.Repair == "" {
		return nil
	}
	return update(ctx, root, rec, func(records *Records, now *Record) error {
		living, _, err := records.Living(ctx)
		if err != nil || living[rec.Repair] || now.Repair != rec.Repair {
			return err
		}
		if err := do(); err != nil {
			return fmt.Errorf("end a repair that was interrupted: %w", err)
		}
		now.Repair = ""
		return nil
	})
}

// update changes a record as it is now, if it is still there.
func update(ctx context.Context, root *os.File, rec Record, change func(*Records, *Record) error) (err error) {
	records, err := Open(ctx, root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	list, err := List(root)
	now, there := rec.Of(list)
	if !there {
		return err
	}
	before := now.Repair
	if err := change(records, &now); err != nil || now.Repair == before {
		return err
	}
	return records.Put(ctx, now)
}
