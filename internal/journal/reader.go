// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/layer"
)

// Reader reads a journal that may be damaged. It checks sizes before it takes memory,
// and the journal must have its end with the right checksum.
type Reader struct {
	file  io.Closer // nil when the caller closes what is read
	z     *zstd.Decoder
	r     *bufio.Reader
	sum   uint32
	count uint64
	last  string
	buf   []byte
	until *Mark // where the reading ends; nil for the end of the journal
}

// newReader begins to read the journal r. The caller closes the reader.
func newReader(r io.Reader) (*Reader, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	f := &Reader{z: z, r: bufio.NewReader(z)}
	head := make([]byte, len(magic))
	if err := f.full(head); err != nil {
		z.Close()
		return nil, err
	}
	if string(head) != magic {
		z.Close()
		return nil, fmt.Errorf("%w: %s does not begin as it should", ErrDamaged, Name)
	}
	return f, nil
}

// OpenUntil opens the journal in a layer's directory to read it up to a mark. With a
// nil mark it is [Open].
func OpenUntil(dir *os.File, m *Mark) (*Reader, error) {
	r, err := Open(dir)
	if err == nil {
		r.until = m
	}
	return r, err
}

// Open opens the journal in a layer's directory. A missing one is [ErrDamaged].
func Open(dir *os.File) (*Reader, error) {
	path := filepath.Join(dir.Name(), Name)
	fd, err := unix.Openat(int(dir.Fd()), Name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		err = &os.PathError{Op: "open", Path: path, Err: err}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.Join(ErrDamaged, err)
	}
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), path)
	r, err := newReader(file)
	if err != nil {
		file.Close() // only read
		return nil, err
	}
	r.file = file
	return r, nil
}

// Close closes the journal.
func (f *Reader) Close() {
	f.z.Close()
	if f.file != nil {
		f.file.Close() // only read
	}
}

// ReadByte implements [io.ByteReader], for binary.ReadUvarint.
func (f *Reader) ReadByte() (byte, error) {
	b, err := f.r.ReadByte()
	if err == nil {
		f.sum = crc32.Update(f.sum, castagnoli, []byte{b})
	}
	return b, err
}

func (f *Reader) full(b []byte) error {
	if _, err := io.ReadFull(f.r, b); err != nil {
		return readError(err)
	}
	f.sum = crc32.Update(f.sum, castagnoli, b)
	return nil
}

// next returns the next record. After the last one it checks the end, and returns
// io.EOF.
func (f *Reader) next() (layer.Entry, error) {
	if f.until != nil && f.count >= f.until.Count {
		if f.sum != f.until.Sum || f.last != string(f.until.Last) {
			return layer.Entry{}, fmt.Errorf("%w: %s does not match its mark", ErrDamaged, Name)
		}
		return layer.Entry{}, io.EOF
	}
	size, err := binary.ReadUvarint(f)
	if err != nil {
		return layer.Entry{}, readError(err)
	}
	if size == 0 {
		return layer.Entry{}, f.end()
	}
	if size > maxEntry {
		return layer.Entry{}, fmt.Errorf("%w: %s has a record of %d bytes", ErrDamaged, Name, size)
	}
	f.buf = slices.Grow(f.buf[:0], int(size))[:size]
	if err := f.full(f.buf); err != nil {
		return layer.Entry{}, err
	}
	d := fieldReader{rest: f.buf}
	e := d.entry(f.last)
	if d.bad || len(d.rest) > 0 {
		return layer.Entry{}, fmt.Errorf("%w: %s: record %d makes no sense", ErrDamaged, Name, f.count)
	}
	f.last = e.Path
	f.count++
	return e, nil
}

func (f *Reader) end() error {
	count, err := binary.ReadUvarint(f)
	if err != nil {
		return readError(err)
	}
	want := f.sum
	var sum [4]byte
	if err := f.full(sum[:]); err != nil {
		return err
	}
	if count != f.count || binary.LittleEndian.Uint32(sum[:]) != want {
		return fmt.Errorf("%w: %s does not match its checksum", ErrDamaged, Name)
	}
	if _, err := f.r.ReadByte(); fsat.IsShortage(err) {
		return readError(err)
	} else if err != io.EOF {
		return fmt.Errorf("%w: %s goes on after its end", ErrDamaged, Name)
	}
	return io.EOF
}

// readError returns the error for a journal that could not be read to its end: a lack
// of memory or descriptors, or else ErrDamaged. It is never io.EOF.
func readError(err error) error {
	if fsat.IsShortage(err) {
		return fmt.Errorf("read %s: %w", Name, err)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %s ends early: %w", ErrDamaged, Name, err)
}

// fieldReader takes fields off a record. bad stays true after a field that is wrong.
type fieldReader struct {
	rest []byte
	bad  bool
}

func (d *fieldReader) entry(last string) layer.Entry {
	var e layer.Entry
	e.Type = layer.Type(d.byte())
	flags := d.byte()
	shared := d.uint(uint64(len(last)))
	e.Path = last[:shared] + d.string()
	e.Mode = uint32(d.uint(0o7777))
	e.UID = uint32(d.uint(1<<32 - 1))
	e.GID = uint32(d.uint(1<<32 - 1))
	sec := d.int()
	e.ModTime = time.Unix(sec, int64(d.uint(1e9-1))).UTC()
	e.Size = int64(d.uint(1<<63 - 1))
	e.Sum = d.uint32()
	e.Major = uint32(d.uint(1<<32 - 1))
	e.Minor = uint32(d.uint(1<<32 - 1))
	e.Linkname = d.string()
	e.Implied = flags&flagImplied != 0
	switch flags & (flagMarked | flagReplaced) {
	case flagMarked:
		e.Opaque = layer.Marked
	case flagReplaced:
		e.Opaque = layer.Replaced
	case flagMarked | flagReplaced:
		d.bad = true
	}
	if flags&flagXattrs != 0 {
		e.Xattrs = d.xattrs()
	}
	if flags&flagAt != 0 {
		e.At = int64(d.uint(1<<63 - 1))
		e.Fragments = d.fragments(e.Size)
		d.bad = d.bad || e.At == 0 || e.Type != layer.Regular
	}
	if flags&^flagKnown != 0 || e.Path == "" || !slices.Contains(knownTypes, e.Type) {
		d.bad = true
	}
	return e
}

var knownTypes = []layer.Type{
	layer.Regular, layer.Directory, layer.Symlink, layer.Hardlink, layer.CharDevice, layer.BlockDevice,
	layer.FIFO, layer.Whiteout, layer.Removed, layer.OpaqueMark,
}

func (d *fieldReader) xattrs() map[string]string {
	n := d.uint(maxFields)
	x := make(map[string]string, min(n, 16))
	for range n {
		name := d.string()
		x[name] = d.string()
		if d.bad {
			return nil
		}
	}
	if uint64(len(x)) != n || n == 0 {
		d.bad = true
	}
	return x
}

// fragments reads fragments, which must be in order, without overlaps, and within a
// file of size bytes.
func (d *fieldReader) fragments(size int64) (list []layer.Fragment) {
	end := int64(0)
	for range d.uint(maxEntry) {
		f := layer.Fragment{Offset: int64(d.uint(1<<63 - 1)), Size: int64(d.uint(1<<63 - 1))}
		if d.bad || f.Offset < end || f.Size == 0 || f.Offset > size || f.Size > size-f.Offset {
			d.bad = true
			return nil
		}
		end = f.Offset + f.Size
		list = append(list, f)
	}
	return list
}

func (d *fieldReader) take(n int) []byte {
	if d.bad || n > len(d.rest) {
		d.bad = true
		return make([]byte, min(n, 4))
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *fieldReader) byte() byte { return d.take(1)[0] }

func (d *fieldReader) uint32() uint32 { return binary.LittleEndian.Uint32(d.take(4)) }

// uint reads an unsigned number that is at most limit.
func (d *fieldReader) uint(limit uint64) uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || v > limit {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *fieldReader) int() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *fieldReader) string() string {
	n := d.uint(maxEntry)
	if n > uint64(len(d.rest)) {
		d.bad = true
		return ""
	}
	return string(d.take(int(n)))
}

// All yields the records in their order, and ends after an error. Do not rely on the
// records unless it ends without one.
func (f *Reader) All() iter.Seq2[layer.Entry, error] {
	return func(yield func(layer.Entry, error) bool) {
		for {
			e, err := f.next()
			if err == io.EOF || !yield(e, err) || err != nil {
				return
			}
		}
	}
}
