// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/opencontainers/go-digest"
)

// keptTar reads a blob and keeps its tar, to the second mark, and returns that one
// with what was kept by then.
func keptTar(t *testing.T, blob []byte) (m *Mark, kept []byte) {
	t.Helper()
	var tar bytes.Buffer
	var s *Stream
	seen := 0
	o := Options{Marks: true, Tar: &tar, Passed: func() error {
		if seen++; seen == 2 {
			m, kept = s.TakeMark(), bytes.Clone(tar.Bytes())
		}
		s.Ask()
		return nil
	}}
	s, err := Open(t.Context(), &hashing{r: bytes.NewReader(blob), hash: sha256.New(), rng: rand.New(rand.NewPCG(1, 1))}, o)
	if err != nil {
		t.Fatal(err)
	}
	s.Ask()
	if _, err := io.Copy(io.Discard, s); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(nil, false); err != nil || m == nil || m.Skip != 0 || m.Out != int64(len(kept)) {
		t.Fatalf("the mark is %+v, %d bytes were kept, %v", m, len(kept), err)
	}
	return m, kept
}

// behindTar goes on from a mark with the tar in front of it. rest is what was told to
// be kept, after an error too.
func behindTar(t *testing.T, blob []byte, m *Mark, kept io.Reader) (all, rest []byte, err error) {
	t.Helper()
	h := sha256.New()
	if err := setState(h, m.BlobState); err != nil {
		t.Fatal(err)
	}
	var tar bytes.Buffer
	b := &hashing{r: bytes.NewReader(blob[m.Blob:]), hash: h, n: m.Blob, rng: rand.New(rand.NewPCG(1, 2))}
	s, err := Open(t.Context(), b, Options{Marks: true, From: m, Begun: kept, Tar: &tar, Passed: func() error { return nil }})
	if err != nil {
		return nil, tar.Bytes(), err
	}
	all, err = io.ReadAll(s)
	if err := s.Close(err, false); err != nil {
		return nil, tar.Bytes(), err
	}
	if s.Digest() != digest.FromBytes(all) || s.Size() != int64(len(all)) || s.BlobSize() != int64(len(blob)) {
		t.Errorf("%s of %d bytes in %d", s.Digest(), s.Size(), s.BlobSize())
	}
	return all, tar.Bytes(), nil
}

// A stream that goes on behind the tar that was kept gives all of it, and only what
// is new to who keeps it.
func TestMarksBehindTheTar(t *testing.T) {
	tar := smallTar()
	for name, blob := range forms() {
		m, kept := keptTar(t, blob)
		all, rest, err := behindTar(t, blob, m, bytes.NewReader(kept))
		if err != nil || !bytes.Equal(all, tar) || !bytes.Equal(rest, tar[m.Out:]) {
			t.Errorf("%s: %d bytes, %d of them new behind %d of %d, %v", name, len(all), len(rest), m.Out, len(tar), err)
		}
	}
}

// What was kept is no tar of the mark's, and nothing of the rest is told.
func TestMarkOfAnotherTar(t *testing.T) {
	blob := forms()["gzip"]
	m, kept := keptTar(t, blob)
	flipped := bytes.Clone(kept)
	flipped[len(kept)-1] ^= 1
	for name, other := range map[string]io.Reader{
		"flipped":       bytes.NewReader(flipped),
		"cut":           bytes.NewReader(kept[1:]),
		"empty":         bytes.NewReader(nil),
		"not readable":  io.MultiReader(bytes.NewReader(kept[:5]), failing{}),
		"flipped early": io.MultiReader(bytes.NewReader([]byte{kept[0] ^ 1}), bytes.NewReader(kept[1:])),
	} {
		if _, rest, err := behindTar(t, blob, m, other); !errors.Is(err, ErrMark) || len(rest) > 0 {
			t.Errorf("%s: %d bytes more, %v", name, len(rest), err)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("unreadable") }
