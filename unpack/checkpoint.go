// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/filesum"
	"github.com/layerctl/layerctl/internal/layerdisk"
	"github.com/layerctl/layerctl/internal/layerstream"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack/internal/saved"
)

// Checkpoints saves the state of a layer while it is unpacked, so that another call
// can continue from there. [Layer] makes checkpoints between entries and within
// large files, [Read] anywhere in the tar. A gzip blob has a possible checkpoint at
// each block, zstd at the start of each frame, a plain tar anywhere. Layer makes none
// while the attributes of a directory must wait for the end (default ACLs; for users
// other than root also modes that keep the owner out). Neither makes any unless the
// blob's reader has a method State(b []byte) (state []byte, n int64), which appends
// to b the state of the digest after the first n bytes.
type Checkpoints struct {
	// Every is how long after a checkpoint the next is made, but at least a hundred
	// times as long as one takes. Unpacking from a checkpoint makes one at once.
	Every time.Duration
	// Save is called with a checkpoint when everything in the journal is in the
	// directory, unsynced, or when the tar has received just what the checkpoint
	// covers. Its error ends the unpacking.
	Save func(Checkpoint) error
}

// Checkpoint is the state of a layer that is being unpacked.
type Checkpoint struct {
	// Offset is the byte of the blob at which to continue, and BlobState what State
	// of the blob's reader returned for the bytes before it.
	Offset    int64
	BlobState []byte
	// State is for Layer. Nothing in it is trusted before the diffID is right.
	State []byte
	// File is the path of the file that is being written, which the journal lacks.
	File layer.Path
}

// errCheckpoint says that a checkpoint does not fit the blob, the directory or the
// options.
var errCheckpoint = errkind.New(errkind.Mismatch, "the layer cannot be gone on with")

func (u *unpacker) begin() (stop func()) {
	if u.o.Checkpoints == nil {
		return func() {}
	}
	// A layer that was interrupted may soon be interrupted again.
	return u.pace.Begin(u.o.Checkpoints.Every, u.from != nil, u.stream.Ask)
}

// save makes a checkpoint here, if one is due. f is the file that is being written,
// nil for none, and sum the checksum of what it has so far.
func (u *unpacker) save(f *newFile, sum uint32) error {
	if !u.pace.Due() {
		return nil
	}
	defer u.pace.Made()
	s := saved.State{Options: u.fingerprint(), Stream: *u.stream.TakeMark()}
	s.Tar.Offset = s.Stream.Out
	if s.Stream.TarState == nil || u.copy == nil && !u.describe(&s, f, sum) {
		return nil
	}
	raw, err := saved.Encode(&s)
	if err != nil || raw == nil {
		return err
	}
	if err := u.pace.Except(u.writer.Drain); err != nil { // work that is not the checkpoint's
		return err
	}
	return u.o.Checkpoints.Save(Checkpoint{Offset: s.Stream.Blob, BlobState: s.Stream.BlobState, State: raw, File: layer.Path(s.File.Name())})
}

// describe adds to s what cannot be read from the directory again. It is false where
// there can be no checkpoint now. A tar needs none of this.
func (u *unpacker) describe(s *saved.State, f *newFile, sum uint32) bool {
	var whole, known bool
	s.Tar, known = u.tar.Place()
	if s.Dirs, whole = u.states.Save(); !whole || !known {
		return false
	}
	s.Stored, s.Links = u.stored, saved.Pairs(u.links)
	if f != nil {
		s.File = saved.FileOf(&f.entry, u.tar.Left(), sum, f.aboveGID)
	}
	for path := range u.skipped {
		s.Skipped = append(s.Skipped, []byte(path))
	}
	for _, n := range u.notes.list {
		s.Notes = append(s.Notes, saved.Note(n))
	}
	s.Entries, s.Recorded, s.Holes = u.meter.entries, u.meter.recorded, u.meter.holes
	s.Files, s.Content = u.result.Files, u.result.Content
	return true
}

// goOn prepares the stream to continue from checkpoint c, if any, and to make others.
func (u *unpacker) goOn(c *Checkpoint, stream *layerstream.Options) error {
	stream.Marks = u.o.Checkpoints != nil && (u.copy != nil || u.o.Record != nil && u.o.Skip == nil && u.content == nil)
	if u.copy != nil {
		stream.Passed = func() error { return u.save(nil, 0) }
	}
	if c == nil {
		return nil
	}
	s, err := saved.Decode(c.State)
	if err != nil || s.Options != u.fingerprint() || s.Stream.Blob != c.Offset || !bytes.Equal(s.Stream.BlobState, c.BlobState) {
		return errCheckpoint
	}
	u.from, stream.From = s, &s.Stream
	return nil
}

// fingerprint has the options that must be the same to continue from a checkpoint.
func (u *unpacker) fingerprint() string {
	limits := u.o.Limits
	limits.Reserve = 0
	return fmt.Sprintf("%+v %d %t %+v %+v", u.o.Form, u.o.Devices, u.o.Strict, limits, u.caller)
}

// restore restores all state of a checkpoint but that of the stream and the tar.
func (u *unpacker) restore() error {
	s := u.from
	st, err := u.disk.Fstat(u.dirs.Root.FD)
	if err != nil {
		return failed("stat", ".", err)
	}
	u.dirs.Root.ModTime, u.dirs.Root.GID = st.Mtim, st.Gid
	if !u.states.Restore(s.Dirs) {
		return errCheckpoint
	}
	saved.Map(u.links, s.Links)
	for _, path := range s.Skipped {
		u.skipped[string(path)] = true
	}
	u.notes.list = nil
	for _, n := range s.Notes {
		u.notes.list = append(u.notes.list, Note(n))
	}
	u.stored, u.h = s.Stored, &s.Tar.Header
	m := u.meter
	m.entries, m.holes, u.result.Files, u.result.Content = s.Entries, s.Holes, s.Files, s.Content
	if s.Recorded > m.limits.Recorded || !m.paths.take(s.Recorded) {
		return errCheckpoint
	}
	m.recorded = s.Recorded
	if s.File == nil {
		return nil
	}
	return u.reopen(s.File)
}

// reopen continues the file that was being written.
func (u *unpacker) reopen(s *saved.File) error {
	e := s.Entry()
	above, base := entryname.Split(e.Path)
	parent, err := u.dirs.Open(above)
	if err != nil {
		return fmt.Errorf("%w: %w", errCheckpoint, failed("open directory", above, err))
	}
	sum := uint32(0)
	fd, err := u.disk.(layerdisk.Kernel).Reopen(parent.FD, base, s.Written, func(b []byte) { sum = filesum.Add(sum, b) })
	if errors.Is(err, unix.ESTALE) || err == nil && sum != s.Sum {
		err = fmt.Errorf("%w: %s is not what it was", errCheckpoint, entryname.Quote(e.Path))
	}
	f := newFile{fd: fd, entry: e, aboveGID: s.AboveGID}
	if err != nil && fd >= 0 {
		return u.complete(f, err)
	}
	if err != nil {
		return err
	}
	parent.Dirty = true
	return u.fillOn(f, sum)
}
