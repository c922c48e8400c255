// SPDX-License-Identifier: Apache-2.0

package tarlayer

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
)

const (
	// behind is how much is written before the device is told to begin with it:
	// the sync at the end has less to do then. It is what ext4 puts into one
	// extent at most. What begins elsewhere, or ends inside a page, leaves a
	// request of a few kilobytes behind each time.
	behind = 8 << 20
	// behindLast is the least that is begun with at the end of a file. The sync
	// makes one request of many small files that lie side by side.
	behindLast = 256 << 10
	// spaceEvery is how often the free space is asked for.
	spaceEvery = 32 << 20
)

// Writer writes the file of a layer: what is written to it is the tar, what is read
// from it the beginning that was there before.
type Writer struct {
	io.Reader
	f       *os.File
	room    func(bytes uint64) error
	size    int64 // of the tar so far
	lazy    bool  // no sync follows: the device is told of nothing
	begun   int64 // the device was told of the file up to here
	checked int64 // there is room up to here
}

// WriterOptions say how a layer's file is written.
type WriterOptions struct {
	Room func(bytes uint64) error // is asked for so many more bytes before they are written; nil is not asked
	Lazy bool                     // leave it to the kernel when the device begins, for no sync follows
}

// Create makes the file in a layer's directory.
func Create(dir *os.File, o WriterOptions) (*Writer, error) {
	f, err := fsat.Create(dir, fileName, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(headSize, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return writerOf(f, 0, o), nil
}

// GoOn opens the file in a layer's directory to write behind the first size bytes of
// its tar. These are read from the disk; what the file has behind them goes.
func GoOn(dir *os.File, size int64, o WriterOptions) (*Writer, error) {
	f, err := fsat.OpenCut(dir, fileName, headSize+size)
	if err != nil {
		return nil, err
	}
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // advice
	return writerOf(f, size, o), nil
}

// writerOf writes behind the first size bytes of the tar in f.
func writerOf(f *os.File, size int64, o WriterOptions) *Writer {
	return &Writer{
		Reader: io.NewSectionReader(f, headSize, size), f: f, room: o.Room, lazy: o.Lazy,
		size: size, begun: (headSize + size) &^ (behind - 1), checked: size,
	}
}

// Size is how much of the tar there is.
func (w *Writer) Size() int64 { return w.size }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	if w.room != nil && w.size+int64(len(p)) > w.checked {
		if err := w.room(spaceEvery); err != nil {
			return 0, err
		}
		w.checked = w.size + spaceEvery
	}
	n, err := w.f.Write(p)
	w.size += int64(n)
	if end := (headSize + w.size) &^ (behind - 1); err == nil && end > w.begun {
		w.begin(end)
	}
	return n, err
}

// begin has the device begin with the file up to end. Whether it does is of no
// matter: a sync follows, or nobody waits for one.
func (w *Writer) begin(end int64) {
	if !w.lazy {
		_ = unix.SyncFileRange(int(w.f.Fd()), w.begun, end-w.begun, unix.SYNC_FILE_RANGE_WRITE)
		w.begun = end
	}
}

// End makes the file whole blocks long, which is what a device has, and closes
// it.
func (w *Writer) End() error {
	end := behindTar(w.size)
	err := w.f.Truncate(end)
	if err == nil && end-w.begun >= behindLast {
		w.begin(end)
	}
	return errors.Join(err, w.Close())
}

// Close closes the file. A second time it does nothing.
func (w *Writer) Close() error {
	if err := w.f.Close(); !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}
