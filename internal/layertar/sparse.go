// SPDX-License-Identifier: Apache-2.0

package layertar

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// fragment is data of a sparse file: size bytes at the offset at. Between
// fragments there are holes, which read as zeros.
type fragment struct{ at, size int64 }

// sparseRecords are the GNU.sparse records of a PAX header (GNU tar's manual,
// "Storing Sparse Files"): in form 0.0 the offset and the length of each
// fragment stand in records of their own, in 0.1 in one, in 1.0 before the data.
type sparseRecords struct {
	seen         bool
	name         string
	size, real   string
	major, minor string
	count        string
	numbers      []string // offset, length, offset, …
	disorder     bool
}

func (s *sparseRecords) add(key, value string) {
	s.seen = true
	switch key {
	case "name":
		s.name = value
	case "size":
		s.size = value
	case "realsize":
		s.real = value
	case "major":
		s.major = value
	case "minor":
		s.minor = value
	case "numblocks":
		s.count = value
	case "map":
		s.numbers = nil
		if value != "" {
			s.numbers = strings.Split(value, ",")
		}
	case "offset", "numbytes":
		s.disorder = s.disorder || (len(s.numbers)%2 == 0) != (key == "offset")
		s.numbers = append(s.numbers, value)
	}
}

// logicalSize is the size of the file, holes included.
func (s *sparseRecords) logicalSize(fallback int64) (int64, error) {
	text := s.size
	if text == "" {
		text = s.real
	}
	if text == "" {
		return fallback, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

// sparse makes the content of the current entry that of a sparse file. The data
// that stands in the tar is readable already.
func (r *Reader) sparse(s *sparseRecords) error {
	size, err := s.logicalSize(r.h.Size)
	if err != nil {
		return r.fault("malformed size of a sparse file")
	}
	if s.name != "" {
		r.h.Name = s.name
	}
	var fragments []fragment
	switch version := s.major + "." + s.minor; {
	case version == "1.0":
		fragments, err = r.mapBeforeData()
	case version == "0.0", version == "0.1", version == "." && (s.numbers != nil || s.count == "0"):
		fragments, err = r.mapOfRecords(s)
	default:
		err = r.fault(fmt.Sprintf("a sparse file of the unknown form %.20q", version))
	}
	if err != nil {
		return err
	}
	return r.setSparse(fragments, size)
}

func (r *Reader) mapOfRecords(s *sparseRecords) (list []fragment, err error) {
	count, err := strconv.ParseInt(s.count, 10, 32)
	if err != nil || s.disorder || int64(len(s.numbers)) != 2*count {
		return nil, r.fault("malformed sparse map")
	}
	for i := 0; i < len(s.numbers); i += 2 {
		at, err := strconv.ParseInt(s.numbers[i], 10, 64)
		size, serr := strconv.ParseInt(s.numbers[i+1], 10, 64)
		if err != nil || serr != nil {
			return nil, r.fault("malformed sparse map")
		}
		list = append(list, fragment{at, size})
	}
	return list, nil
}

// mapBeforeData reads the map of form 1.0: decimal numbers, a line each, how
// many fragments first, in whole blocks.
func (r *Reader) mapBeforeData() (list []fragment, err error) {
	text := lines{r: r}
	count, err := text.number()
	for ; err == nil && count > 0; count-- {
		var f fragment
		if f.at, err = text.number(); err == nil {
			f.size, err = text.number()
			list = append(list, f)
		}
	}
	return list, err
}

// lines are those of a map that stands before the data.
type lines struct {
	r    *Reader
	rest []byte
	read int
}

func (l *lines) number() (int64, error) {
	for {
		if line, rest, ok := bytes.Cut(l.rest, []byte("\n")); ok {
			l.rest = rest
			n, err := strconv.ParseInt(string(line), 10, 64)
			if err != nil {
				return 0, l.r.fault("malformed sparse map")
			}
			return n, nil
		}
		if l.read += blockSize; l.read > maxExtended {
			return 0, l.r.fault(fmt.Sprintf("sparse map of more than %d bytes", maxExtended))
		}
		b := make([]byte, blockSize)
		switch _, err := io.ReadFull(raw{l.r}, b); {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return 0, l.r.fault("the sparse map is cut short")
		case err != nil:
			return 0, err
		}
		l.rest = append(l.rest, b...)
	}
}

// oldSparse reads the map of an entry of type 'S': four fragments stand in the
// header, 21 in each block that follows it.
func (r *Reader) oldSparse() (list []fragment, size int64, err error) {
	if string(r.blk[257:265]) != "ustar  \x00" {
		return nil, 0, r.fault("a sparse file whose header is not GNU tar's")
	}
	size, ok := number(r.blk[483:495])
	if !ok {
		return nil, 0, r.fault("malformed size of a sparse file")
	}
	table, more := r.blk[386:482], r.blk[482] != 0
	for read := 0; ; read += blockSize {
		for ; len(table) >= 24 && table[0] != 0; table = table[24:] {
			at, ok := number(table[:12])
			length, ok2 := number(table[12:24])
			if !ok || !ok2 {
				return nil, 0, r.fault("malformed sparse map")
			}
			list = append(list, fragment{at, length})
		}
		if !more {
			return list, size, nil
		}
		if read >= maxExtended {
			return nil, 0, r.fault(fmt.Sprintf("sparse map of more than %d bytes", maxExtended))
		}
		n, err := io.ReadFull(r.r, r.blk[:])
		r.offset += int64(n)
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return nil, 0, r.fault("the sparse map is cut short")
		case err != nil:
			return nil, 0, err
		}
		table, more = r.blk[:504], r.blk[504] != 0
	}
}

// setSparse checks that a map is in order and names all data in the tar.
func (r *Reader) setSparse(list []fragment, size int64) error {
	var end, data int64
	r.fragments = nil
	for _, f := range list {
		if f.size < 0 || f.at < end || f.at > size || f.size > size-f.at {
			return r.fault("a sparse map that is out of order or past the end of the file")
		}
		end = f.at + f.size
		data += f.size
		if f.size > 0 {
			r.fragments = append(r.fragments, f)
		}
	}
	if data != r.left || size < 0 {
		return r.fault(fmt.Sprintf("a sparse map of %d bytes, with %d in the tar", data, r.left))
	}
	r.h.Sparse, r.h.Size, r.h.Data = true, size, data
	return nil
}

// Fragment is a part of a sparse file's content that stands in the tar.
type Fragment struct{ Offset, Size int64 }

// Fragments are the parts of the current entry, a sparse file, that stand in the
// tar from [Reader.Offset] on, one behind the other, before any is read. Of
// other files there are none, for all stands there.
func (r *Reader) Fragments() (list []Fragment) {
	for _, f := range r.fragments {
		list = append(list, Fragment{f.at, f.size})
	}
	return list
}

// Hole goes over the zeros with which the content of a sparse file goes on and
// which do not stand in the tar, and returns how many there are. Other files
// have none. It is called before each call of Content, and after the last one.
func (r *Reader) Hole() int64 {
	n := r.hole()
	r.at += n
	return n
}

func (r *Reader) hole() int64 {
	switch {
	case !r.h.Sparse:
		return 0
	case len(r.fragments) == 0:
		return r.h.Size - r.at
	}
	return r.fragments[0].at - r.at
}

// atOnce is how many bytes of data follow each other.
func (r *Reader) atOnce() int64 {
	if r.h.Sparse && len(r.fragments) > 0 {
		return r.fragments[0].size
	}
	return r.left
}

// advance goes over n bytes of the first fragment.
func (r *Reader) advance(n int64) {
	if !r.h.Sparse || n == 0 {
		return
	}
	r.at += n
	f := &r.fragments[0]
	f.at, f.size = f.at+n, f.size-n
	if f.size == 0 {
		r.fragments = r.fragments[1:]
	}
}
