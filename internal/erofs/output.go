// SPDX-License-Identifier: Apache-2.0

package erofs

import "io"

// output writes a file from some place on to its end; its error is sticky.
type output struct {
	w     io.WriterAt
	begin int64  // where buf goes
	buf   []byte // not written yet
	err   error
}

// buffered is how much is kept before it is written.
const buffered = 128 << 10

// end is where the next byte goes.
func (o *output) end() int64 { return o.begin + int64(len(o.buf)) }

func (o *output) write(p []byte) {
	if o.buf = append(o.buf, p...); len(o.buf) >= buffered {
		o.flush()
	}
}

func (o *output) padTo(at int64) {
	var zeros [BlockSize]byte
	for n := at - o.end(); n > 0; n = at - o.end() {
		o.write(zeros[:min(n, BlockSize)])
	}
}

// patch writes over bytes that were written before.
func (o *output) patch(p []byte, at int64) {
	if early := min(max(o.begin-at, 0), int64(len(p))); early > 0 {
		o.writeAt(p[:early], at)
		p, at = p[early:], at+early
	}
	if len(p) > 0 {
		copy(o.buf[at-o.begin:], p)
	}
}

func (o *output) writeAt(p []byte, at int64) {
	if len(p) == 0 || o.err != nil {
		return
	}
	_, o.err = o.w.WriteAt(p, at)
}

func (o *output) flush() {
	o.writeAt(o.buf, o.begin)
	o.begin, o.buf = o.end(), o.buf[:0]
}
