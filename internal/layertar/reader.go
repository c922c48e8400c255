// SPDX-License-Identifier: Apache-2.0

package layertar

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// maxExtended bounds a PAX header, and a GNU long name: the bytes that are
// held in memory for one entry. It is archive/tar's bound too.
const maxExtended = 1 << 20

// Reader reads a tar stream. It is not safe for use by several goroutines.
type Reader struct {
	r       io.Reader
	pieces  pieces // r, where it can do that
	offset  int64  // bytes of the stream that were read
	left    int64  // data of the current entry that was not read
	padding int64
	// Of a sparse file: where reading has come to, and the data from there on.
	at        int64
	fragments []fragment
	h         Header
	blk       block
	skipped   [4096]byte
	err       error
}

// pieces is a stream that hands out what it holds: up to n bytes, which stay
// until the next call.
type pieces interface {
	Next(n int64) ([]byte, error)
}

// NewReader reads the tar stream r. It reads in small pieces: r should have a
// buffer. Where r has a method Next(n int64) ([]byte, error) which hands out up
// to n bytes of that buffer, Content gives them out without a copy.
func NewReader(r io.Reader) *Reader {
	p, _ := r.(pieces)
	return &Reader{r: r, pieces: p}
}

// Place is where a Reader is in its stream: all it takes to go on from there.
type Place struct {
	Offset        int64 // of the stream
	Left, Padding int64 // of the current entry, to be read
	Header        Header
}

// Place is where r is. It is false inside a sparse file, and after an error.
func (r *Reader) Place() (Place, bool) {
	h := r.h
	h.Linkname, h.Xattrs = "", nil // who goes on knows
	return Place{r.offset, r.left, r.padding, h}, r.err == nil && (!r.h.Sparse || r.left == 0 && r.hole() == 0)
}

// Left is how much of the current entry's data was not read yet.
func (r *Reader) Left() int64 { return r.left }

// Resume makes r, a new Reader, one that is at p; its stream gives what comes
// from there on. It is false for what is no place.
func (r *Reader) Resume(p Place) bool {
	if p.Offset < 0 || p.Left < 0 || p.Padding < 0 || p.Padding >= blockSize || p.Header.Size < p.Left || p.Left > 0 && p.Header.Sparse {
		return false
	}
	r.offset, r.left, r.padding, r.h = p.Offset, p.Left, p.Padding, p.Header
	r.h.Sparse = false // all of it was read
	return true
}

// Offset is the number of bytes that were read of the stream.
func (r *Reader) Offset() int64 { return r.offset }

// Next goes to the next entry. The Header is valid until Next is called
// again. At the end, with or without the two blocks that mark it, the error is
// io.EOF; what is wrong with the tar is a *[SyntaxError]; an error of the
// stream comes as it is.
func (r *Reader) Next() (*Header, error) {
	if r.err == nil {
		r.err = r.next()
	}
	if r.err != nil {
		return nil, r.err
	}
	return &r.h, nil
}

func (r *Reader) next() error {
	var x extended
	start, first := int64(0), true
	for {
		if err := r.skip(); err != nil {
			return err
		}
		at := r.offset
		if first {
			start, first = at, false
		}
		r.h = Header{Offset: at}
		r.at, r.fragments = 0, nil
		end, err := r.readBlock()
		if err != nil {
			return err
		}
		if end {
			if x.seen || x.long != "" || x.longLink != "" {
				return r.fault("extended header without an entry")
			}
			return io.EOF
		}
		plain, err := r.extend(&x)
		if err != nil {
			return err
		}
		if plain {
			r.h.Offset = start
			return r.finish(&x)
		}
	}
}

// readBlock reads one header block; end is true at the end of the archive.
func (r *Reader) readBlock() (end bool, err error) {
	n, err := io.ReadFull(r.r, r.blk[:])
	r.offset += int64(n)
	switch {
	case err == io.EOF:
		return true, nil
	case err == io.ErrUnexpectedEOF:
		return false, r.fault("the layer tar ends inside a header")
	case err != nil:
		return false, err
	case !r.blk.isZero():
		return false, nil
	}
	n, err = io.ReadFull(r.r, r.blk[:])
	r.offset += int64(n)
	switch {
	case err == io.EOF:
		return true, nil
	case err == io.ErrUnexpectedEOF:
		return false, r.fault("the layer tar ends inside its end marker")
	case err != nil:
		return false, err
	case !r.blk.isZero():
		return false, r.fault("an entry after a single zero block")
	}
	return true, nil
}

// extend reads the plain header into r.h. A header that only extends the next
// one is read into x; plain is false for it.
func (r *Reader) extend(x *extended) (plain bool, err error) {
	if err := r.plainHeader(); err != nil {
		return false, err
	}
	switch r.h.Type {
	case 'g':
		return false, r.content()
	case 'x':
		s, err := r.special()
		if err == nil {
			if xerr := x.read(s); xerr != nil {
				return false, r.fault(xerr.Error())
			}
		}
		return false, err
	case 'L', 'K':
		s, err := r.special()
		target := &x.long
		if r.h.Type == 'K' {
			target = &x.longLink
		}
		x.repeated = x.repeated || *target != ""
		*target = text([]byte(s))
		return false, err
	}
	return true, nil
}

func (r *Reader) plainHeader() error {
	b, h := &r.blk, &r.h
	if !b.checksumHolds() {
		return r.fault("no tar header: its checksum does not hold")
	}
	h.Name = b.path()
	h.Linkname = text(b.linkname())
	h.Type = b.typeflag()
	fields := []struct {
		name string
		b    []byte
		n    *int64
	}{
		{"mode", b.mode(), &h.Mode}, {"uid", b.uid(), &h.UID}, {"gid", b.gid(), &h.GID},
		{"size", b.size(), &h.Size}, {"major", b.major(), &h.Major}, {"minor", b.minor(), &h.Minor},
	}
	if !b.hasDeviceNumbers() {
		fields = fields[:4]
	}
	for _, f := range fields {
		n, ok := number(f.b)
		if !ok {
			return r.fault("malformed number in field " + f.name)
		}
		*f.n = n
	}
	return r.plainTime()
}

func (r *Reader) plainTime() error {
	b, h := r.blk.mtime(), &r.h
	n, ok := number(b)
	switch {
	case ok:
		h.Seconds = n
	case b[0]&0x80 == 0:
		return r.fault("malformed number in field mtime")
	default:
		h.Seconds, h.TimeClamped = math.MaxInt64, true
		if b[0]&0x40 != 0 {
			h.Seconds = math.MinInt64
		}
	}
	return nil
}

// special reads the content of an extended header.
func (r *Reader) special() (string, error) {
	if r.h.Size > maxExtended {
		return "", r.fault(fmt.Sprintf("extended header of %d bytes, more than %d", r.h.Size, maxExtended))
	}
	if err := r.content(); err != nil {
		return "", err
	}
	b := make([]byte, r.h.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		if err == io.EOF { // of a header of no bytes
			return "", nil
		}
		return "", err
	}
	return string(b), nil
}

// finish completes the entry with what extends it.
func (r *Reader) finish(x *extended) error {
	h := &r.h
	if err := x.apply(h); err != nil {
		return r.fault(err.Error())
	}
	if h.Type == 0 {
		h.Type = Regular
		if len(h.Name) > 0 && h.Name[len(h.Name)-1] == '/' {
			h.Type = Directory // as V7 tars mark one
		}
	}
	switch h.Type {
	case '7': // a contiguous file, which is a regular one everywhere today
		h.Type = Regular
	case 'S':
		return r.finishOldSparse()
	case Hardlink, Symlink, CharDevice, BlockDevice, Directory, FIFO:
		h.SizeIgnored, h.Size = h.Size != 0, 0
	}
	if err := r.content(); err != nil || !x.sparse.seen {
		return err
	}
	if h.Type != Regular {
		return r.fault("a sparse map of what is no regular file")
	}
	return r.sparse(&x.sparse)
}

func (r *Reader) finishOldSparse() error {
	list, size, err := r.oldSparse()
	if err != nil {
		return err
	}
	r.h.Type = Regular
	if err := r.content(); err != nil {
		return err
	}
	return r.setSparse(list, size)
}

// content makes the bytes after the header readable.
func (r *Reader) content() error {
	if r.h.Size < 0 {
		return r.fault("negative size")
	}
	r.left, r.h.Data = r.h.Size, r.h.Size
	r.padding = -r.h.Size & (blockSize - 1)
	return nil
}

// Read reads the content of the current entry, the zeros of holes included.
func (r *Reader) Read(p []byte) (int, error) {
	if hole := r.hole(); hole > 0 {
		p = p[:min(int64(len(p)), hole)]
		clear(p)
		r.at += int64(len(p))
		return len(p), nil
	}
	return raw{r}.Read(p)
}

// raw reads the data of the current entry.
type raw struct{ r *Reader }

func (d raw) Read(p []byte) (int, error) {
	r := d.r
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.r.Read(p[:min(int64(len(p)), r.atOnce())])
	r.advance(int64(n))
	return n, r.took(n, err)
}

// Content returns some of the data of the current entry, until the next call of
// any method, and io.EOF at its end. Of a sparse file it is what follows the
// last Hole.
func (r *Reader) Content() ([]byte, error) {
	if r.left == 0 {
		return nil, io.EOF
	}
	if r.pieces == nil {
		n, err := raw{r}.Read(r.skipped[:])
		return r.skipped[:n], err
	}
	b, err := r.pieces.Next(r.atOnce())
	r.advance(int64(len(b)))
	return b, r.took(len(b), err)
}

// took counts n bytes of content, behind which err came.
func (r *Reader) took(n int, err error) error {
	r.offset += int64(n)
	r.left -= int64(n)
	if err == io.EOF {
		if r.left > 0 {
			return r.fault(fmt.Sprintf("the layer tar ends inside this entry, at byte %d", r.offset))
		}
		return nil
	}
	return err
}

// skip goes over what is left of the current entry. A last entry without its
// padding is complete.
func (r *Reader) skip() error {
	for r.left > 0 {
		if _, err := (raw{r}).Read(r.skipped[:]); err != nil {
			return err
		}
	}
	n, err := io.ReadFull(r.r, r.skipped[:r.padding])
	r.offset += int64(n)
	r.padding = 0
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return nil // the next header finds the end
	}
	return err
}

func (r *Reader) fault(reason string) error {
	return &SyntaxError{Entry: r.h.Name, Offset: r.h.Offset, Reason: reason}
}

// Drain reads the stream to its end, once Next has said io.EOF. It tells
// where the first byte stands that is not zero, -1 where none is.
func (r *Reader) Drain() (nonZero int64, err error) {
	nonZero = -1
	for {
		n, err := r.r.Read(r.skipped[:])
		if nonZero < 0 {
			for i, c := range r.skipped[:n] {
				if c != 0 {
					nonZero = r.offset + int64(i)
					break
				}
			}
		}
		r.offset += int64(n)
		if err == io.EOF {
			return nonZero, nil
		}
		if err != nil {
			return nonZero, err
		}
	}
}
