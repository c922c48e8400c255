// SPDX-License-Identifier: Apache-2.0

package content

import (
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Reader reads a blob and verifies it. It returns io.EOF only after as many bytes
// as the descriptor says, whose digest is the descriptor's; otherwise a
// [*MismatchError]. It never returns more bytes than the descriptor's size.
type Reader struct {
	body io.ReadCloser
	want ocispec.Descriptor
	hash hash.Hash
	n    int64
	err  error
	from func() Sender
}

// Verify returns a reader of body, which comes from the host or file named from. The
// descriptor must have passed [Check].
func Verify(body io.ReadCloser, want ocispec.Descriptor, from string) *Reader {
	return &Reader{
		body: body, want: want, hash: want.Digest.Algorithm().Hash(),
		from: func() Sender { return Sender{Host: from} },
	}
}

// VerifyLater is [Verify] without a body, which [Reader.Attach] gives it before
// the first read.
func VerifyLater(want ocispec.Descriptor) *Reader { return Verify(nil, want, "") }

// Attach gives the reader its body. from returns who sent the last bytes; it is called
// when they turn out to be wrong.
func (v *Reader) Attach(body io.ReadCloser, from func() Sender) {
	v.body, v.from = body, from
}

// State appends to b the state of the digest after the n bytes that were read so far,
// in the form that [Reader.Resume] takes. It returns nil if the digest has no such
// form.
func (v *Reader) State(b []byte) (state []byte, n int64) {
	h, ok := v.hash.(encoding.BinaryAppender)
	if !ok {
		return nil, v.n
	}
	state, err := h.AppendBinary(b)
	if err != nil {
		return nil, v.n
	}
	return state, v.n
}

// Resume lets a reader that has read nothing yet begin at byte n of the blob. state is
// the state of the digest after the first n bytes, by [Reader.State].
func (v *Reader) Resume(state []byte, n int64) error {
	h, ok := v.hash.(encoding.BinaryUnmarshaler)
	if !ok || n < 0 || n > v.want.Size {
		return fmt.Errorf("go on behind byte %d of %s: %w", n, v.want.Digest, errors.ErrUnsupported)
	}
	v.n = n
	return h.UnmarshalBinary(state)
}

// Read implements io.Reader.
func (v *Reader) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	left := v.want.Size - v.n
	if left == 0 {
		v.err = v.finish()
		return 0, v.err
	}
	n, err := v.body.Read(p[:min(int64(len(p)), left)])
	v.n += int64(n)
	v.hash.Write(p[:n])
	switch {
	case err == io.EOF && v.n < v.want.Size:
		v.err = v.mismatch("", v.n)
	case err == io.EOF, err == nil && v.n == v.want.Size:
		v.err = v.finish()
	case err != nil:
		v.err = err
	}
	return n, v.err
}

// finish checks the digest, and that the body has no further byte.
func (v *Reader) finish() error {
	if got := v.Sum(); got != v.want.Digest {
		return v.mismatch(got, v.n)
	}
	var one [1]byte
	n, err := io.ReadFull(v.body, one[:])
	switch {
	case n > 0:
		return v.mismatch("", v.n+1)
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	return err
}

// Sum returns the digest of all bytes that were read so far.
func (v *Reader) Sum() digest.Digest {
	return digest.NewDigest(v.want.Digest.Algorithm(), v.hash)
}

func (v *Reader) mismatch(got digest.Digest, size int64) error {
	from := v.from()
	return &MismatchError{
		Want: v.want.Digest, Got: got, WantSize: v.want.Size, GotSize: size,
		Host: from.Host, Resumed: from.Resumed, Others: from.Others,
	}
}

// Close closes the body. Its error does not say whether the bytes are right.
func (v *Reader) Close() error { return v.body.Close() }
