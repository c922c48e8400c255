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
	if err := update(ctx, root, rec, func(rec *Record) { rec.Repair = id }); err != nil {
		return nil, errors.Join(err, release())
	}
	return func() error {
		ctx := context.WithoutCancel(ctx)
		return errors.Join(update(ctx, root, rec, func(rec *Record) { rec.Repair = "" }), release())
	}, nil
}

// EndRepair does what is left to do of a repair of an image that has died, if one
// has, and records that.
func EndRepair(ctx context.Context, root *os.File, rec Record, do func() error) error {
	if rec.Repair == "" {
		return nil
	}
	dead, err := died(ctx, root, rec.Repair)
	if err != nil || !dead {
		return err
	}
	if err := do(); err != nil {
		return fmt.Errorf("end a repair that was interrupted: %w", err)
	}
	return update(ctx, root, rec, func(now *Record) {
		if now.Repair == rec.Repair {
			now.Repair = ""
		}
	})
}

// died says whether the process of a repair has ended.
func died(ctx context.Context, root *os.File, repair string) (bool, error) {
	records, err := Open(ctx, root)
	if err != nil {
		return false, err
	}
	living, _, err := records.Living(ctx)
	return !living[repair], errors.Join(err, records.Close())
}

// update changes a record as it is now, if it is still there.
func update(ctx context.Context, root *os.File, rec Record, change func(*Record)) (err error) {
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
	change(&now)
	return records.Put(ctx, now)
}
