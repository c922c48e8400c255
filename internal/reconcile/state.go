// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/syncreport"
)

// The folder of a store that is a run's, and what is in it.
const (
	folder     = "sync"
	lockFile   = "lock"
	namesFile  = "names.json"
	reportFile = "report.json"
	maxNames   = 64 << 20
)

// ErrRunning says that another run works on the store.
var ErrRunning = errkind.New(errkind.Busy, "another sync is running on this store")

// held is a name that runs have made in the store: what the list no longer names
// goes only if it is one of them.
type held struct {
	Reference string        `json:"reference"` // canonical
	Platform  string        `json:"platform,omitempty"`
	Manifest  digest.Digest `json:"manifest,omitempty"` // "" before it was there
	Root      digest.Digest `json:"root,omitempty"`
	Seen      time.Time     `json:"seen"` // when the list named it last
	Verified  time.Time     `json:"verified,omitzero"`
}

// state is the folder, locked.
type state struct {
	dir    *os.File
	unlock func() error
	known  []held // as they were when the run began
}

// openState locks the store for one run. wait says whether it waits for
// another one, and else is ErrRunning; waiting is told before it does.
func openState(ctx context.Context, root *os.File, wait bool, waiting func()) (_ *state, err error) {
	dir, err := durable.OpenOrMakeDirAt(ctx, root, folder, 0o700)
	if err != nil {
		return nil, fmt.Errorf("open what runs of sync have noted: %w", err)
	}
	s := &state{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if wait {
		s.unlock, err = durable.Lock(ctx, dir, lockFile, durable.Exclusive, waiting)
	} else if s.unlock, err = durable.TryLock(ctx, dir, lockFile, durable.Exclusive); err == nil && s.unlock == nil {
		err = ErrRunning
	}
	if err != nil {
		return nil, err
	}
	return s, s.read()
}

// close lets the next run begin.
func (s *state) close() error {
	var err error
	if s.unlock != nil {
		err = s.unlock()
	}
	return errors.Join(err, s.dir.Close())
}

func (s *state) read() error {
	raw, err := fsat.ReadFile(s.dir, namesFile, maxNames)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &s.known)
	}
	if err != nil {
		return fmt.Errorf("read the names that runs of sync have made: %w", err)
	}
	return nil
}

// write makes names those that are known, durably.
func (s *state) write(ctx context.Context, names []held) error {
	raw, err := json.Marshal(names)
	if err == nil {
		err = durable.WriteFile(ctx, s.dir, namesFile, append(raw, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("note the names that sync makes: %w", err)
	}
	return nil
}

// keep keeps a report for [Last].
func (s *state) keep(ctx context.Context, r syncreport.Report) error {
	raw, err := json.Marshal(r)
	if err == nil {
		err = durable.WriteFile(ctx, s.dir, reportFile, append(raw, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep the report: %w", err)
	}
	return nil
}

// Last is the report of the last run on the store whose directory is root. The
// error is fs.ErrNotExist where there was none.
func Last(root *os.File) (r syncreport.Report, err error) {
	dir, err := durable.OpenDirAt(root, folder)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	f, err := fsat.OpenFile(dir, reportFile)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return syncreport.Read(f)
}
