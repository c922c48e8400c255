// SPDX-License-Identifier: Apache-2.0

package partial

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
)

// Checkpoint is what a layer on its way can be gone on from.
type Checkpoint struct {
	Version int
	Layer   digest.Digest
	Boot    string // in which it was made
	Number  uint64 // of its writing
	Journal journal.Mark
	Content int64 // bytes of all files that have a record
	// Offset is how much of the blob need not be fetched.
	Offset int64
	// File is the path of one that is not whole and has no record.
	File []byte
	// State is the caller's.
	State []byte `json:"-"`
}

const checkpointVersion = 1

// maxCheckpoint bounds its file.
const maxCheckpoint = 18 << 20

// The files of checkpoints in a layer's directory. Those of this boot are written
// in turn, over what they held: no sync, and no rename that would have the
// filesystem write them at once. The one that is durable speaks of what was synced.
const durableName = "resume.synced"

var unsyncedNames = [2]string{"resume.0", "resume.1"}

// encode is: the SHA-256 of what follows, in hexadecimal, and its length, a line
// of JSON, and the caller's state.
func (c *Checkpoint) encode() ([]byte, error) {
	c.Version = checkpointVersion
	head, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	body := append(append(head, '\n'), c.State...)
	return append([]byte(sumOf(body)), body...), nil
}

// sumOf is what stands before the body.
func sumOf(body []byte) string {
	return fmt.Sprintf("%x %016x\n", sha256.Sum256(body), len(body))
}

// headSize is what stands before the JSON.
const headSize = 2*sha256.Size + 1 + 16 + 1

// decodeCheckpoint reads what encode made; more may follow it.
func decodeCheckpoint(raw []byte) (*Checkpoint, error) {
	bad := fmt.Errorf("%w: no checkpoint", journal.ErrDamaged)
	if len(raw) < headSize {
		return nil, bad
	}
	var size int
	if n, err := fmt.Sscanf(string(raw[2*sha256.Size+1:headSize]), "%016x\n", &size); n != 1 || err != nil || size < 0 || size > len(raw)-headSize {
		return nil, bad
	}
	body := raw[headSize : headSize+size]
	if string(raw[:headSize]) != sumOf(body) {
		return nil, bad
	}
	head, state, _ := bytes.Cut(body, []byte("\n"))
	c := new(Checkpoint)
	if err := json.Unmarshal(head, c); err != nil || c.Version != checkpointVersion || c.Journal.Bytes < 0 || c.Content < 0 || c.Offset < 0 {
		return nil, bad
	}
	c.State = state
	return c, nil
}

// readCheckpoint finds the last checkpoint in a layer's directory that counts: of
// this boot the last one, else that which was synced.
func readCheckpoint(dir *os.File, id digest.Digest, boot string) (*Checkpoint, error) {
	var last *Checkpoint
	for _, name := range []string{durableName, unsyncedNames[0], unsyncedNames[1]} {
		raw, err := fsat.ReadFile(dir, name, maxCheckpoint)
		if fsat.IsShortage(err) {
			return nil, err
		}
		if err != nil {
			continue
		}
		c, err := decodeCheckpoint(raw)
		if err != nil || c.Layer != id || c.Boot != boot && name != durableName {
			continue
		}
		if last == nil || c.Boot == boot && (last.Boot != boot || c.Number > last.Number) {
			last = c
		}
	}
	if last == nil {
		return nil, fmt.Errorf("%w: no checkpoint", journal.ErrDamaged)
	}
	return last, nil
}

// How often a checkpoint is synced: not before the layer is so old, and so many
// times later than the last sync took.
const (
	syncAfter = 15 * time.Second
	syncShare = 50
)

// Saver writes the checkpoints of one layer.
type Saver struct {
	Dir    *os.File // of the layer
	Sync   bool     // whether a power cut counts
	number uint64
	due    time.Time // of the next sync
	last   []byte    // the checkpoint that was made last
	synced uint64    // the number of the one that was synced last

	syncing sync.WaitGroup
	mu      sync.Mutex
	err     error // of a sync
	busy    bool
}

// Save writes a checkpoint. Its error may be of an earlier sync: then nobody knows
// what of the layer is on the disk.
func (s *Saver) Save(ctx context.Context, c *Checkpoint) error {
	if s.due.IsZero() {
		s.due = time.Now().Add(syncAfter)
	}
	s.number++
	c.Number = s.number
	raw, err := c.encode()
	if err != nil {
		return err
	}
	if err := s.write(ctx, unsyncedNames[s.number%2], raw); err != nil {
		return err
	}
	s.last = raw
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || !s.Sync || s.busy || time.Now().Before(s.due) {
		return s.err
	}
	s.busy = true
	n := s.number
	s.syncing.Go(func() { s.sync(context.WithoutCancel(ctx), raw, n) })
	return nil
}

// write writes over what the file held.
func (s *Saver) write(ctx context.Context, name string, raw []byte) error {
	if err := durable.Fault(ctx, "write checkpoint"); err != nil {
		return err
	}
	fd, err := unix.Openat(int(s.Dir.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.Write(raw)
	return errors.Join(err, f.Close())
}

// sync makes a checkpoint durable, after all that it speaks of.
func (s *Saver) sync(ctx context.Context, raw []byte, number uint64) {
	begun := time.Now()
	err := durable.SyncFS(ctx, s.Dir)
	if err == nil {
		err = durable.WriteFile(ctx, s.Dir, durableName, raw, 0o600)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy, s.err = false, err
	if err == nil {
		s.synced = number
	}
	s.due = time.Now().Add(max(syncAfter, syncShare*time.Since(begun)))
}

// Settle makes the last checkpoint durable, when the process will not go on.
func (s *Saver) Settle(ctx context.Context) error {
	s.syncing.Wait()
	if s.err == nil && s.last != nil && s.Sync && s.synced != s.number {
		s.sync(ctx, s.last, s.number)
	}
	return s.err
}

// End removes the checkpoints of a layer that is whole.
func (s *Saver) End(ctx context.Context) error {
	s.syncing.Wait()
	if s.err != nil {
		return s.err
	}
	for _, name := range []string{durableName, unsyncedNames[0], unsyncedNames[1]} {
		if err := durable.Remove(ctx, s.Dir, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
