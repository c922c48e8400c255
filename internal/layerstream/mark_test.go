// SPDX-License-Identifier: Apache-2.0

package layerstream

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/opencontainers/go-digest"
)

// hashing is the reader of a blob that knows its digest, in parts of any size.
type hashing struct {
	r    io.Reader
	hash hash.Hash
	n    int64
	rng  *rand.Rand
}

func (h *hashing) Read(b []byte) (int, error) {
	n, err := h.r.Read(b[:min(len(b), 1+h.rng.IntN(90<<10))])
	h.n += int64(n)
	h.hash.Write(b[:n])
	return n, err
}

func (h *hashing) State(b []byte) ([]byte, int64) {
	b, _ = h.hash.(encoding.BinaryAppender).AppendBinary(b)
	return b, h.n
}

// smallTar has more pieces than are decoded ahead.
func smallTar() []byte {
	return imagetest.Tar(imagetest.File("noise", imagetest.Noise(14*pieceSize)), imagetest.File("zeros", string(make([]byte, pieceSize))))
}

// forms are those of the small tar that streams can be gone on with.
var forms = sync.OnceValue(func() map[string][]byte {
	tar := smallTar()
	var members, zframes []byte
	for part := range slices.Chunk(tar, len(tar)/13) {
		members = append(members, imagetest.Gzip(part)...)
		zframes = append(zframes, zstdOf(part)...)
		zframes = append(zframes, 0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3) // a skippable frame
	}
	var even []byte // frames end where pieces do
	for part := range slices.Chunk(tar, 2*pieceSize) {
		even = append(even, zstdOf(part)...)
	}
	return map[string][]byte{"plain": tar, "gzip": imagetest.Gzip(tar), "members": members, "zstd": zframes, "even frames": even}
})

// marksOf reads a blob to its end, and takes marks on the way.
func marksOf(t *testing.T, tar, blob []byte, rng *rand.Rand) (marks []*Mark) {
	t.Helper()
	s, err := Open(t.Context(), &hashing{r: bytes.NewReader(blob), hash: sha256.New(), rng: rand.New(rand.NewPCG(1, 1))}, Options{Marks: true})
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for {
		s.Ask()
		b, err := s.Next(1 + rng.Int64N(50<<10))
		if got += len(b); err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if s.Marked() && len(marks) < 3 {
			m := s.TakeMark()
			if m.Out+m.Skip != int64(got) {
				t.Fatalf("a mark of byte %d at byte %d", m.Out+m.Skip, got)
			}
			marks = append(marks, m)
		}
	}
	if err := s.Close(nil, false); err != nil || got != len(tar) {
		t.Fatalf("read %d bytes, %v", got, err)
	}
	return marks
}

// goneOn is what another stream makes of a mark.
func goneOn(t *testing.T, blob []byte, m *Mark) (rest []byte, s *Stream, err error) {
	t.Helper()
	h := sha256.New()
	if err := setState(h, m.BlobState); err != nil {
		t.Fatal(err)
	}
	b := &hashing{r: bytes.NewReader(blob[m.Blob:]), hash: h, n: m.Blob, rng: rand.New(rand.NewPCG(1, 2))}
	s, err = Open(t.Context(), b, Options{Marks: true, From: m})
	if err != nil {
		return nil, nil, err
	}
	rest, err = io.ReadAll(s)
	if err := s.Close(err, false); err != nil {
		return nil, nil, err
	}
	if got := digest.NewDigest(digest.SHA256, h); got != digest.FromBytes(blob) {
		t.Errorf("the blob has the digest %s", got)
	}
	return rest, s, nil
}

// A stream that goes on from a mark gives what the other one would have given. In
// short the first mark is tried.
func TestMarks(t *testing.T) {
	tar := smallTar()
	for name, blob := range forms() {
		rng := rand.New(rand.NewPCG(7, 7))
		marks := marksOf(t, tar, blob, rng)
		if len(marks) == 0 {
			t.Errorf("%s: %d marks", name, len(marks))
		}
		for i, m := range marks {
			if i > 0 && os.Getenv("LAYERCTL_FULL") != "1" {
				continue
			}
			raw, err := json.Marshal(m)
			var stored Mark
			if err = errors.Join(err, json.Unmarshal(raw, &stored)); err != nil {
				t.Fatal(err)
			}
			rest, s, err := goneOn(t, blob, &stored)
			if err != nil || !bytes.Equal(rest, tar[m.Out+m.Skip:]) {
				t.Fatalf("%s, mark %d at %d and %d: %d bytes, %v", name, i, m.Out, m.Skip, len(rest), err)
			}
			if s.Digest() != digest.FromBytes(tar) || s.Size() != int64(len(tar)) || s.BlobSize() != int64(len(blob)) {
				t.Errorf("%s, mark %d: %s of %d bytes in %d", name, i, s.Digest(), s.Size(), s.BlobSize())
			}
		}
	}
}

// A mark is kept until it is taken only where somebody has asked for one: the tar
// is hashed twice behind it.
func TestMarkThatNobodyTakes(t *testing.T) {
	blob := imagetest.Gzip(smallTar())
	for _, ask := range []bool{false, true} {
		// By a clock on which no part of the blob is late.
		synctest.Test(t, func(t *testing.T) {
			s, err := Open(t.Context(), &hashing{r: bytes.NewReader(blob), hash: sha256.New(), rng: rand.New(rand.NewPCG(1, 1))}, Options{Marks: true})
			if err != nil {
				t.Fatal(err)
			}
			if ask {
				s.Ask()
			}
			marked := false
			for s.Size() < 12*pieceSize {
				if _, err := s.Next(pieceSize); err != nil {
					t.Fatal(err)
				}
				marked = marked || s.Marked()
			}
			if !marked || s.Marked() != ask || (s.since != nil) != ask {
				t.Errorf("asked %t: a mark came: %t, is there at the end: %t, the tar is hashed: %t", ask, marked, s.Marked(), s.since != nil)
			}
			if err := s.Close(nil, false); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// What was read behind a mark must come again as it was.
func TestMarkOfAnotherStream(t *testing.T) {
	tar := smallTar()
	rng := rand.New(rand.NewPCG(8, 8))
	marks := marksOf(t, tar, tar, rng)
	m := *marks[slices.IndexFunc(marks, func(m *Mark) bool { return m.Skip > 0 })]
	other := bytes.Clone(tar)
	other[m.Out] ^= 1
	for name, change := range map[string]func(m *Mark){
		"other bytes":        func(*Mark) {},
		"a byte less":        func(m *Mark) { m.Skip-- },
		"before the blob":    func(m *Mark) { m.In = m.Blob - 1 },
		"far behind":         func(m *Mark) { m.In = m.Blob + 1<<40 },
		"no state of a hash": func(m *Mark) { m.TarState = m.TarState[1:] },
		"gzip":               func(m *Mark) { m.Compression = "gzip" },
		"xz":                 func(m *Mark) { m.Compression = "xz" },
		"behind the end":     func(m *Mark) { m.Skip = 1 << 40 },
	} {
		changed := m
		change(&changed)
		blob := tar
		if name == "other bytes" {
			blob = other
		}
		if _, _, err := goneOn(t, blob, &changed); !errors.Is(err, ErrMark) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
