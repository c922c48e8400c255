// SPDX-License-Identifier: Apache-2.0

package partial

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"

	"github.com/opencontainers/go-digest"

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
	Content int64 // bytes of all files that have a record, or of the tar in front of the place
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
	if err := json.Unmarshal(head, c); err != nil || c.Version != checkpointVersion || c.Journal.Bytes < 0 || c.Content < 0 {
		return nil, bad
	}
	c.State = state
	return c, nil
}

// readCheckpoints finds the checkpoints in a layer's directory that count, the one
// to go on from first: of this boot the last one, else that which was synced, which
// is also the second choice, for a disk can lose its power in any boot. number is
// no less than that of any.
func readCheckpoints(dir *os.File, id digest.Digest, boot string) (list []*Checkpoint, number uint64, err error) {
	var last, synced *Checkpoint
	for _, name := range []string{durableName, unsyncedNames[0], unsyncedNames[1]} {
		raw, err := fsat.ReadFile(dir, name, maxCheckpoint)
		if fsat.IsShortage(err) {
			return nil, 0, err
		}
		if err != nil {
			continue
		}
		c, err := decodeCheckpoint(raw)
		if err != nil || c.Layer != id {
			continue
		}
		number = max(number, c.Number)
		if name == durableName {
			synced = c
		}
		if c.Boot == boot && (last == nil || c.Number > last.Number) {
			last = c
		}
	}
	if last != nil {
		list = append(list, last)
	}
	if synced != nil && (last == nil || synced.Number != last.Number) {
		list = append(list, synced)
	}
	if list == nil {
		err = fmt.Errorf("%w: no checkpoint", journal.ErrDamaged)
	}
	return list, number, err
}
