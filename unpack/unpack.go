// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/layerdisk"
	"github.com/layerctl/layerctl/internal/layerstream"
	"github.com/layerctl/layerctl/internal/layertar"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack/internal/dirstate"
	"github.com/layerctl/layerctl/unpack/internal/saved"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// Layer unpacks one layer into dir, an empty directory that nobody else uses, as a
// lower directory of overlayfs.
//
// The blob and the tar in it are read to their ends: a reader that verifies the
// blob can refuse it with its last Read, and the diffID covers every byte. After an
// error dir holds rubbish: remove it. Nothing outside dir is touched, whatever the
// layer holds. Nothing is synced.
//
// Errors are [ErrMalformed], [ErrLimit] and [ErrMismatch] with their types,
// an error of blob's Read, of Record, of the context, or a unix.Errno.
func Layer(ctx context.Context, dir *os.File, blob io.Reader, want Source, o Options) (Result, error) {
	defer runtime.KeepAlive(dir)
	o.Limits = o.Limits.withDefaults()
	d := layerdisk.NewKernel(func(op string) error { return durable.Fault(ctx, op) })
	u := newUnpacker(d, int(dir.Fd()), o)
	u.caller = caller{uint32(unix.Geteuid()), uint32(unix.Getegid())}
	return u.readBlob(ctx, blob, want)
}

// readBlob unpacks the blob, and reads it to its end.
func (u *unpacker) readBlob(ctx context.Context, blob io.Reader, want Source) (Result, error) {
	stream := layerstream.Options{
		MediaType: want.MediaType, Size: want.Size, Algorithm: digest.Canonical,
		MaxSize: u.o.Limits.Bytes, MaxRatio: u.o.Limits.Ratio,
		Windows: u.o.Windows.shared(), Buffers: u.o.Buffers.shared(), Serial: u.o.Serial, Tar: u.copy, Begun: u.begun,
	}
	if want.DiffID != "" {
		if err := want.DiffID.Validate(); err != nil {
			return Result{}, fmt.Errorf("diffID %s: %w", entryname.Quote(string(want.DiffID)), err)
		}
		stream.Algorithm = want.DiffID.Algorithm()
	}
	if err := u.goOn(want.From, &stream); err != nil {
		return Result{}, err
	}
	s, err := layerstream.Open(ctx, blob, stream)
	if err != nil {
		return Result{}, streamFault(err)
	}
	err = u.unpack(s, want)
	if err := s.Close(err, errors.Is(err, ErrMalformed)); err != nil {
		u.o.Paths.give(u.meter.recorded)
		return Result{}, streamFault(err)
	}
	return u.result, nil
}

// unpack unpacks the tar in s.
func (u *unpacker) unpack(s *layerstream.Stream, want Source) error {
	if s.Mistyped() {
		if err := u.notes.add(layer.NoteMediaType, want.MediaType); err != nil {
			return err
		}
	}
	u.stream, u.tar = s, layertar.NewReader(s)
	if u.from != nil && u.copy == nil && !u.tar.Resume(u.from.Tar) {
		return errCheckpoint
	}
	if s.Parallel() && u.content == nil {
		u.writer = startWriter(u)
		s.HandOver(u.writer.TakeOver)
	}
	return errors.Join(u.layer(want.DiffID), u.dirs.CloseCached())
}

// verify compares the diffID, once everything has been read.
func (u *unpacker) verify(want digest.Digest) error {
	r, s := &u.result, u.stream
	r.Compression, r.Size, r.CompressedSize, r.Entries = s.Compression(), s.Size(), s.BlobSize(), u.meter.entries
	if r.DiffID = s.Digest(); want != "" && r.DiffID != want {
		return &MismatchError{Want: want, Got: r.DiffID}
	}
	return nil
}

// unpacker is one run of [Layer] or of [Read].
type unpacker struct {
	o       Options
	disk    layerdisk.Disk
	marks   marks
	stream  *layerstream.Stream
	tar     *layertar.Reader
	h       *layertar.Header // the current entry
	dirs    layerdisk.Directories
	states  dirstate.States
	links   map[string]string // foreign hardlinks, by path
	skipped map[string]bool   // paths of devices that were left out
	stored  bool              // the link store was made
	notes   *notes
	meter   *meter
	caller  caller
	noACL   bool // the filesystem has no POSIX ACLs
	result  Result

	// content takes the content of files; nil writes it to the disk.
	content func(layer.Entry) (io.Writer, error)
	copy    io.Writer    // takes the tar; nil for none
	begun   io.Reader    // the beginning of the tar, which copy has already
	writer  *writer      // writes small files; nil writes them at once
	from    *saved.State // the checkpoint to continue from
	pace    saved.Pace   // of the next checkpoints
}

// caller is the user that unpacks.
type caller struct{ uid, gid uint32 }

// newUnpacker unpacks into the directory root of disk d, for the user 0:0.
func newUnpacker(d layerdisk.Disk, root int, o Options) *unpacker {
	o.Form = o.Form.OrDefaults()
	m := &meter{limits: o.Limits, disk: d, root: root, spent: spaceBytes, paths: o.Paths}
	return &unpacker{
		o: o, disk: d, marks: marksOf(o),
		dirs:   layerdisk.Directories{Disk: d, Root: &layerdisk.Dir{Path: ".", FD: root}},
		states: dirstate.States{ByPath: make(map[string]dirstate.State), Keep: m.keep},
		links:  make(map[string]string), skipped: make(map[string]bool),
		notes: &notes{strict: o.Strict, log: o.Logger},
		meter: m,
	}
}

func (u *unpacker) layer(diffID digest.Digest) error {
	err := u.entries()
	if werr := u.writer.End(); werr != nil {
		err = werr
	}
	if err == nil {
		err = u.verify(diffID)
	}
	if err != nil {
		return err
	}
	return u.finish()
}

func (u *unpacker) entries() error {
	defer u.begin()()
	if err := u.prepareRoot(); err != nil {
		return err
	}
	for {
		h, err := u.tar.Next()
		if err == io.EOF {
			return u.end()
		}
		if err != nil {
			return tarFault(err)
		}
		u.h = h
		if err := u.entry(); err != nil {
			return err
		}
		if u.stream.Marked() {
			if err := u.save(nil, 0); err != nil {
				return err
			}
		}
	}
}

// end reads the stream to its end.
func (u *unpacker) end() error {
	nonZero, err := u.tar.Drain()
	if err != nil {
		return tarFault(err)
	}
	if nonZero >= 0 {
		return u.notes.add(layer.NoteAfterEnd, fmt.Sprintf("byte %d", nonZero))
	}
	return nil
}

// tarFault turns the tar reader's errors into this package's.
func tarFault(err error) error {
	var syntax *layertar.SyntaxError
	if errors.As(err, &syntax) {
		return &MalformedError{Entry: syntax.Entry, Offset: syntax.Offset, Reason: syntax.Reason}
	}
	return streamFault(err)
}

// streamFault turns the stream's errors into this package's.
func streamFault(err error) error {
	var format *layerstream.FormatError
	var limit *layerstream.LimitError
	switch {
	case errors.As(err, &format):
		return &MalformedError{Offset: format.Offset, Reason: format.Reason}
	case errors.Is(err, layerstream.ErrMark):
		return errCheckpoint
	case errors.As(err, &limit):
		return &LimitError{Limit: limit.Limit, Max: limit.Max, Asked: limit.Asked}
	}
	return err
}

// malformed returns a MalformedError of the current entry.
func (u *unpacker) malformed(format string, args ...any) error {
	return &MalformedError{Entry: u.h.Name, Offset: u.h.Offset, Reason: fmt.Sprintf(format, args...)}
}

// note counts a leniency about the current entry; with Strict it is an error.
func (u *unpacker) note(key string) error {
	if u.notes.strict {
		return u.malformed("refused by strict: %s", key)
	}
	u.notes.count(key, u.h.Name)
	return nil
}

func (u *unpacker) record(e layer.Entry) error {
	if u.o.Record == nil {
		return nil
	}
	if err := u.o.Record(e); err != nil {
		return fmt.Errorf("record %s: %w", entryname.Quote(e.Path), err)
	}
	return nil
}
