// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// verified passes bytes on and withholds io.EOF until as many as the
// descriptor says have come and their digest is the descriptor's. It never
// passes on more.
type verified struct {
	body io.ReadCloser
	want ocispec.Descriptor
	hash hash.Hash
	n    int64
	err  error
	from func() (host string, resumed bool)
}

func verify(body io.ReadCloser, want ocispec.Descriptor, from string) *verified {
	return &verified{
		body: body, want: want, hash: want.Digest.Algorithm().Hash(),
		from: func() (string, bool) { return from, false },
	}
}

// Read implements io.Reader.
func (v *verified) Read(p []byte) (int, error) {
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

// finish looks at the digest, and for one byte too many.
func (v *verified) finish() error {
	if got := v.sum(); got != v.want.Digest {
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

// sum is the digest of all that was passed on so far.
func (v *verified) sum() digest.Digest {
	return digest.NewDigest(v.want.Digest.Algorithm(), v.hash)
}

func (v *verified) mismatch(got digest.Digest, size int64) error {
	host, resumed := v.from()
	return &MismatchError{
		Want: v.want.Digest, Got: got, WantSize: v.want.Size, GotSize: size,
		Host: host, Resumed: resumed,
	}
}

// Close implements io.Closer. It is no verdict on the bytes.
func (v *verified) Close() error { return v.body.Close() }
