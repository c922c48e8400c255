// SPDX-License-Identifier: Apache-2.0

package sortedview

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/layerctl/layerctl/internal/scratch"
	"github.com/layerctl/layerctl/layer"
)

// sorter sorts records in runs: it sorts as many records as fit in memory and writes
// them to a file as one run.
type sorter struct {
	dir   string
	most  int // how many bytes a run has in memory
	arena []byte
	at    []uint32 // where each record begins in arena
	file  *os.File // nil while all records are in memory
	w     io.Writer
	end   int64
	runs  []span
}

// span is a run in the file.
type span struct{ from, to int64 }

// A record in memory is: the lengths of its key and body, its layer and its number,
// each 4 bytes; its kind, 1 byte; its key; its body.
const recordHead = 17

func (s *sorter) add(r *record) error {
	need := recordHead + len(r.key) + len(r.body)
	if len(s.arena) > 0 && len(s.arena)+need+4*len(s.at) > s.most {
		if err := s.spill(); err != nil {
			return err
		}
	}
	if len(s.arena)+need > cap(s.arena) && cap(s.arena) >= s.most/16 { // grow at once to the full size, to leave no garbage
		s.arena = append(make([]byte, 0, max(s.most, len(s.arena)+need)), s.arena...)
	}
	s.at = append(s.at, uint32(len(s.arena)))
	le := binary.LittleEndian
	b := le.AppendUint32(s.arena, uint32(len(r.key)))
	b = le.AppendUint32(b, uint32(len(r.body)))
	b = le.AppendUint32(b, r.layer)
	b = le.AppendUint32(b, r.seq)
	b = append(b, byte(r.kind))
	s.arena = append(append(b, r.key...), r.body...)
	return nil
}

// record returns the record that begins at a byte of the arena.
func (s *sorter) record(at uint32) (r record) {
	b, le := s.arena[at:], binary.LittleEndian
	key, body := le.Uint32(b), le.Uint32(b[4:])
	r.layer, r.seq, r.kind = le.Uint32(b[8:]), le.Uint32(b[12:]), layer.Type(b[16])
	r.key, r.body = b[recordHead:recordHead+key], b[recordHead+key:recordHead+key+body]
	return r
}

func compare(a, b *record) int {
	return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(a.layer, b.layer), cmp.Compare(a.seq, b.seq))
}

func (s *sorter) sort() {
	slices.SortFunc(s.at, func(x, y uint32) int {
		a, b := s.record(x), s.record(y)
		return compare(&a, &b)
	})
}

// spill sorts the run and writes it to the file.
func (s *sorter) spill() (err error) {
	if s.file == nil {
		if s.file, err = scratch.Open(s.dir); err != nil {
			return err
		}
		s.w = &scratch.Keeping{File: s.file}
	}
	s.sort()
	from, last := s.end, []byte(nil)
	buf := make([]byte, 0, 64<<10)
	for _, at := range s.at {
		r := s.record(at)
		buf = appendRecord(buf, &r, last)
		if last = r.key; len(buf) >= 60<<10 {
			if err := s.write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	if err := s.write(buf); err != nil {
		return err
	}
	s.runs = append(s.runs, span{from, s.end})
	s.arena, s.at = s.arena[:0], s.at[:0]
	return nil
}

func (s *sorter) write(b []byte) error {
	_, err := s.w.Write(b)
	s.end += int64(len(b))
	return err
}

// appendRecord appends a record in the form of the file, in which a key has only the
// bytes that differ from the key before.
func appendRecord(b []byte, r *record, last []byte) []byte {
	common := 0
	for common < min(len(last), len(r.key)) && last[common] == r.key[common] {
		common++
	}
	b = binary.AppendUvarint(b, uint64(common))
	b = binary.AppendUvarint(b, uint64(len(r.key)-common))
	b = binary.AppendUvarint(b, uint64(len(r.body)))
	b = binary.AppendUvarint(b, uint64(r.layer))
	b = binary.AppendUvarint(b, uint64(r.seq))
	b = append(b, byte(r.kind))
	return append(append(b, r.key[common:]...), r.body...)
}

// finish ends the adding. If there is a file it writes the last run there too, and
// frees the memory.
func (s *sorter) finish() error {
	if s.file == nil {
		s.sort()
		return nil
	}
	err := s.spill()
	s.arena, s.at = nil, nil
	return err
}

// close closes the file.
func (s *sorter) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// cursor is at one record of a run.
type cursor struct {
	record
	r    *reader // nil for the run in memory
	in   *sorter
	next int // the index in in.at of the next record
}

// advance goes to the next record. After the last one it returns io.EOF.
func (c *cursor) advance() error {
	if c.r != nil {
		return c.r.record(&c.record)
	}
	if c.next == len(c.in.at) {
		return io.EOF
	}
	c.record = c.in.record(c.in.at[c.next])
	c.next++
	return nil
}

// reader reads a run of the file.
type reader struct {
	f    io.ReaderAt
	span // the part that was not read yet
	buf  []byte
	rest []byte // the part of buf that was not used yet
	err  error
}

const (
	leastBuffer = 4 << 10
	mostBuffer  = 64 << 10
	allBuffers  = 2 << 20
)

// need reads until rest has n bytes, or all that are left.
func (r *reader) need(n int) {
	if len(r.rest) >= n || r.err != nil {
		return
	}
	if n > len(r.buf) {
		r.buf = append(make([]byte, 0, n), r.rest...)[:n]
	} else {
		copy(r.buf, r.rest)
	}
	have := len(r.rest)
	more := int(min(int64(len(r.buf)-have), r.to-r.from))
	got, err := r.f.ReadAt(r.buf[have:have+more], r.from)
	if got == more {
		err = nil
	}
	r.from, r.err = r.from+int64(got), err
	r.rest = r.buf[:have+got]
}

// record reads the next record.
func (r *reader) record(to *record) error {
	const head = 5*binary.MaxVarintLen64 + 1
	r.need(head)
	if r.err != nil {
		return r.err
	}
	if len(r.rest) == 0 {
		return io.EOF
	}
	f := fields{r.rest}
	common, key, body := int(f.uint()), int(f.uint()), int(f.uint())
	to.layer, to.seq = uint32(f.uint()), uint32(f.uint())
	r.rest = f.rest
	r.need(1 + key + body)
	if r.err != nil || len(r.rest) < 1+key+body || common > len(to.key) {
		return errors.Join(errors.New("a temporary file was changed"), r.err)
	}
	to.kind = layer.Type(r.rest[0])
	to.key = append(to.key[:common], r.rest[1:1+key]...)
	to.body = r.rest[1+key : 1+key+body]
	r.rest = r.rest[1+key+body:]
	return nil
}

// merger merges the runs.
type merger struct {
	cursors []*cursor // a heap by record
}

func (s *sorter) merge() (*merger, error) {
	m := &merger{}
	if s.file == nil {
		m.cursors = append(m.cursors, &cursor{in: s})
	}
	size := max(min(allBuffers/max(len(s.runs), 1), mostBuffer), leastBuffer)
	for _, run := range s.runs {
		m.cursors = append(m.cursors, &cursor{r: &reader{f: s.file, span: run, buf: make([]byte, size)}})
	}
	all := m.cursors
	m.cursors = m.cursors[:0]
	for _, c := range all {
		err := c.advance()
		if err == nil {
			m.cursors = append(m.cursors, c)
		} else if err != io.EOF {
			return nil, err
		}
	}
	for i := len(m.cursors)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	return m, nil
}

// first returns the next record of all runs, or nil after the last. It is valid until
// the call of next.
func (m *merger) first() *record {
	if len(m.cursors) == 0 {
		return nil
	}
	return &m.cursors[0].record
}

func (m *merger) next() error {
	err := m.cursors[0].advance()
	if err == io.EOF {
		last := len(m.cursors) - 1
		m.cursors[0], m.cursors = m.cursors[last], m.cursors[:last]
		err = nil
	}
	m.sink(0)
	return err
}

// sink moves the cursor at i down the heap to its place.
func (m *merger) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(m.cursors); child++ {
			if compare(&m.cursors[child].record, &m.cursors[least].record) < 0 {
				least = child
			}
		}
		if least == i {
			return
		}
		m.cursors[i], m.cursors[least] = m.cursors[least], m.cursors[i]
		i = least
	}
}
