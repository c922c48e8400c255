// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/layerctl/layerctl/layer"
)

// magic begins a journal, inside the compression. Its last byte is the
// encoding's version.
const magic = "lcfiles\x01"

const (
	// maxEntry bounds the bytes of one record: enough for the path of a deep tree,
	// and for more attributes than a filesystem keeps.
	maxEntry = 4 << 20
	// maxFields bounds the attributes of one path.
	maxFields = 4096
	// window bounds what a decoder keeps in memory.
	window = 1 << 20
)

// The bits of a record's flag byte.
const (
	flagImplied  = 1 << 0
	flagMarked   = 1 << 1
	flagReplaced = 1 << 2
	flagXattrs   = 1 << 3
	flagAt       = 1 << 4 // only in stores that keep tars (format 2)
	flagKnown    = flagImplied | flagMarked | flagReplaced | flagXattrs | flagAt
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Mark is a place in a journal that is being written.
type Mark struct {
	Bytes int64  // how many bytes the file has up to the mark
	Count uint64 // how many records are before the mark
	Sum   uint32 // the CRC-32C of the uncompressed bytes before the mark
	Last  []byte // the path of the record before the mark
}

// Writer writes journals, one after the other. It takes about 400 KiB of memory.
type Writer struct {
	out   *bufio.Writer // writes to file
	file  counter
	z     *zstd.Encoder
	sum   uint32
	count uint64
	last  string // path of the record before
	buf   []byte
}

// NewWriter makes a writer. Begin it before the first record.
func NewWriter() (*Writer, error) {
	// One goroutine, because unpacking uses the other processors.
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return &Writer{out: bufio.NewWriterSize(nil, 1<<16), z: z}, nil
}

// Begin starts a new file.
func (f *Writer) Begin(w io.Writer) error {
	f.begin(w, Mark{})
	return f.emit([]byte(magic))
}

// Resume continues a file that was cut at a mark; w appends to it.
func (f *Writer) Resume(w io.Writer, m Mark) { f.begin(w, m) }

func (f *Writer) begin(w io.Writer, m Mark) {
	f.file = counter{w, m.Bytes}
	f.out.Reset(&f.file)
	f.z.Reset(f.out)
	f.sum, f.count, f.last = m.Sum, m.Count, string(m.Last)
}

// Mark writes all records so far to the file, and returns the place behind them, at
// which [Writer.Resume] can continue.
func (f *Writer) Mark() (Mark, error) {
	err := errors.Join(f.z.Close(), f.out.Flush())
	f.z.Reset(f.out)
	return Mark{f.file.n, f.count, f.sum, []byte(f.last)}, err
}

// counter counts what is written.
type counter struct {
	io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n += int64(n)
	return n, err
}

func (f *Writer) emit(b []byte) error {
	f.sum = crc32.Update(f.sum, castagnoli, b)
	_, err := f.z.Write(b)
	return err
}

// Add appends one record.
func (f *Writer) Add(e *layer.Entry) error {
	body, err := appendEntry(f.buf[:0], e, f.last)
	if err != nil {
		return err
	}
	f.buf, f.last = body, e.Path
	f.count++
	var head [binary.MaxVarintLen64]byte
	if err := f.emit(head[:binary.PutUvarint(head[:], uint64(len(body)))]); err != nil {
		return err
	}
	return f.emit(body)
}

// End writes the end of the journal: a record of length 0, the count, the checksum. It
// does not close the file.
func (f *Writer) End() error {
	end := binary.AppendUvarint([]byte{0}, f.count)
	err := f.emit(end)
	if err == nil {
		_, err = f.z.Write(binary.LittleEndian.AppendUint32(nil, f.sum))
	}
	return errors.Join(err, f.z.Close(), f.out.Flush())
}

// Close frees the writer's memory. It writes no end; see [Writer.End].
func (f *Writer) Close() {
	_ = f.z.Close() // the journal was ended before, or nobody wants it
}

func appendEntry(b []byte, e *layer.Entry, last string) ([]byte, error) {
	var flags byte
	if e.Implied {
		flags |= flagImplied
	}
	switch e.Opaque {
	case layer.Marked:
		flags |= flagMarked
	case layer.Replaced:
		flags |= flagReplaced
	}
	if len(e.Xattrs) > 0 {
		flags |= flagXattrs
	}
	if e.At > 0 {
		flags |= flagAt
	}
	shared := commonPrefix(last, e.Path)
	b = append(b, byte(e.Type), flags)
	b = binary.AppendUvarint(b, uint64(shared))
	b = appendString(b, e.Path[shared:])
	b = binary.AppendUvarint(b, uint64(e.Mode))
	b = binary.AppendUvarint(b, uint64(e.UID))
	b = binary.AppendUvarint(b, uint64(e.GID))
	b = binary.AppendVarint(b, e.ModTime.Unix())
	b = binary.AppendUvarint(b, uint64(e.ModTime.Nanosecond()))
	b = binary.AppendUvarint(b, uint64(e.Size))
	b = binary.LittleEndian.AppendUint32(b, e.Sum)
	b = binary.AppendUvarint(b, uint64(e.Major))
	b = binary.AppendUvarint(b, uint64(e.Minor))
	b = appendString(b, e.Linkname)
	if len(e.Xattrs) > 0 {
		b = binary.AppendUvarint(b, uint64(len(e.Xattrs)))
		for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
			b = appendString(b, name)
			b = appendString(b, e.Xattrs[name])
		}
	}
	if e.At > 0 {
		b = appendPlace(b, e)
	}
	if len(b) > maxEntry || len(e.Xattrs) > maxFields {
		return nil, fmt.Errorf("record %.100q: %d bytes and %d attributes are too many", e.Path, len(b), len(e.Xattrs))
	}
	return b, nil
}

// appendPlace appends where in the tar the content is.
func appendPlace(b []byte, e *layer.Entry) []byte {
	b = binary.AppendUvarint(b, uint64(e.At))
	b = binary.AppendUvarint(b, uint64(len(e.Fragments)))
	for _, f := range e.Fragments {
		b = binary.AppendUvarint(b, uint64(f.Offset))
		b = binary.AppendUvarint(b, uint64(f.Size))
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
