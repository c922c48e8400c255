// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"bytes"
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

func zstdOf(t *testing.T, b []byte, o ...zstd.EOption) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, o...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(b, nil)
}

func TestStreams(t *testing.T) {
	tar := Tar(File("a", strings.Repeat("content ", 1000)))
	view := "a: " + strings.Repeat("content ", 999) + "content"
	half := len(tar) / 2
	gz, members := Gzip(tar), slices.Concat(Gzip(tar[:half]), Gzip(nil), Gzip(tar[half:]))
	zst := zstdOf(t, tar)
	frames := slices.Concat(zstdOf(t, tar[:half]), zstdOf(t, tar[half:]))
	skippable := []byte("\x50\x2a\x4d\x18\x03\x00\x00\x00abc")
	flip := func(b []byte, i int) []byte {
		b = bytes.Clone(b)
		b[(len(b)+i)%len(b)] ^= 0x10
		return b
	}
	const (
		gzType, zstdType, tarType = ocispec.MediaTypeImageLayerGzip, ocispec.MediaTypeImageLayerZstd, ocispec.MediaTypeImageLayer
		dockerType                = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	)
	runCases(t, []layerCase{
		{name: "gzip", blob: gz, typ: gzType, merged: view},
		{name: "gzip of Docker", blob: gz, typ: dockerType, merged: view},
		{name: "gzip without a media type", blob: gz, merged: view},
		{name: "several gzip members, an empty one among them", blob: members, typ: gzType, merged: view},
		{name: "zstd", blob: zst, typ: zstdType, merged: view},
		{name: "several zstd frames", blob: frames, typ: zstdType, merged: view},
		{name: "skippable zstd frames", blob: slices.Concat(skippable, zst, skippable), typ: zstdType, merged: view},
		{name: "gzip with zeros after it", blob: append(bytes.Clone(gz), make([]byte, 100_000)...), typ: gzType, merged: view},
		{
			name: "gzip with garbage after it", blob: append(bytes.Clone(gz), "garbage"...), typ: gzType,
			fails: unpack.ErrMalformed, says: fmt.Sprintf("at byte %d: garbage", len(gz)),
		},
		{
			name: "gzip with garbage after zeros", blob: append(bytes.Clone(gz), "\x00\x00\x00garbage"...), typ: gzType,
			fails: unpack.ErrMalformed, says: fmt.Sprintf("at byte %d: garbage", len(gz)+3),
		},
		{name: "gzip with one byte after it", blob: append(bytes.Clone(gz), 0x1f), typ: gzType, fails: unpack.ErrMalformed, says: "cut short"},
		{name: "gzip with half a header after it", blob: append(bytes.Clone(gz), 0x1f, 0x8b, 8), typ: gzType, fails: unpack.ErrMalformed, says: "cut short"},
		{name: "zstd with garbage after it", blob: append(bytes.Clone(zst), "garbage"...), typ: zstdType, fails: unpack.ErrMalformed, says: ""},
		{name: "gzip cut short", blob: gz[:len(gz)/2], typ: gzType, fails: unpack.ErrMalformed, says: "cut short"},
		{name: "gzip without its trailer", blob: gz[:len(gz)-8], typ: gzType, fails: unpack.ErrMalformed, says: "cut short"},
		{name: "gzip with half its trailer", blob: gz[:len(gz)-3], typ: gzType, fails: unpack.ErrMalformed, says: "cut short"},
		{name: "gzip with another CRC", blob: flip(gz, -8), typ: gzType, fails: unpack.ErrMalformed, says: "checksum"},
		{name: "gzip with another length", blob: flip(gz, -1), typ: gzType, fails: unpack.ErrMalformed, says: "checksum"},
		{name: "a second member with another CRC", blob: slices.Concat(Gzip(tar), flip(Gzip(make([]byte, 512)), -8)), typ: gzType, fails: unpack.ErrMalformed, says: "checksum"},
		{name: "zstd cut short", blob: zst[:len(zst)-5], typ: zstdType, fails: unpack.ErrMalformed, says: "cut short"},
		{name: "zstd with another checksum", blob: flip(zst, -1), typ: zstdType, fails: unpack.ErrMalformed, says: ""},
		{name: "zstd with a window of 256 MiB", blob: []byte("\x28\xb5\x2f\xfd\x00\x90\x01\x00\x00"), typ: zstdType, fails: unpack.ErrLimit, says: "window of 268435456 bytes"},
		{name: "an empty blob as gzip", blob: []byte{}, typ: gzType, fails: unpack.ErrMalformed, says: "empty blob"},
		{name: "an empty blob as zstd", blob: []byte{}, typ: zstdType, fails: unpack.ErrMalformed, says: "empty blob"},
		{name: "an empty blob as tar", blob: []byte{}, typ: tarType, merged: ""},
		{name: "gzip of no bytes", blob: Gzip(nil), typ: gzType, merged: ""},
		{name: "gzip of zeros", blob: Gzip(make([]byte, 1024)), typ: gzType, merged: ""},
		{name: "gzip with the media type of a tar", blob: gz, typ: tarType, strict: true, notes: "media-type=1", merged: view},
		{name: "a tar with the media type of gzip", blob: tar, typ: gzType, strict: true, notes: "media-type=1", merged: view},
		{name: "zstd with the media type of gzip", blob: zst, typ: gzType, strict: true, notes: "media-type=1", merged: view},
		{name: "neither", blob: []byte(strings.Repeat("no layer", 100)), typ: gzType, fails: unpack.ErrMalformed, says: "neither a tar nor gzip nor zstd"},
		{name: "xz", blob: []byte("\xfd7zXZ\x00\x00\x04"), typ: tarType, fails: unpack.ErrMalformed, says: "xz"},
		{name: "bzip2", blob: []byte("BZh91AY&SY"), fails: unpack.ErrMalformed, says: "bzip2"},
		{name: "a media type of no layer", blob: gz, typ: "application/json\x1b[0m", fails: unpack.ErrMalformed, says: `"application/json\x1b[0m"`},
	})
}

// verifying fails with its last Read, as a reader that checks a digest does.
type verifying struct {
	io.Reader
	err  error
	ends int
}

func (v *verifying) Read(p []byte) (int, error) {
	n, err := v.Reader.Read(p)
	if err == io.EOF {
		v.ends++
		err = v.err
	}
	return n, err
}

func TestTheBlobIsReadToItsEnd(t *testing.T) {
	tar := Tar(File("a", "a"))
	refused := errors.New("digest differs")
	for name, blob := range map[string][]byte{
		"tar":                       tar,
		"tar without an end":        tar[:1024],
		"gzip":                      Gzip(tar),
		"gzip and zeros":            append(Gzip(tar), make([]byte, 1<<20)...),
		"zstd":                      zstdOf(t, tar),
		"malformed at once":         []byte(strings.Repeat("no layer", 1<<16)),
		"malformed later":           append(Gzip(Tar(File("../x", ""))), make([]byte, 1<<20)...),
		"damaged where it inflates": append(Gzip(tar)[:20], make([]byte, 1<<20)...),
	} {
		t.Run(name, func(t *testing.T) {
			v := &verifying{Reader: bytes.NewReader(blob), err: refused}
			err := unpackFrom(t, tempDir(t), v)
			if !errors.Is(err, refused) || errors.Is(err, unpack.ErrMalformed) {
				t.Errorf("error = %v, want that of the blob's reader alone", err)
			}
			if v.ends == 0 {
				t.Error("the blob was not read to its end")
			}
		})
	}
}

func TestDiffID(t *testing.T) {
	tar := append(Tar(File("a", "a")), make([]byte, 3000)...)
	sum := sha512.Sum512(tar)
	for _, c := range []struct {
		name  string
		want  digest.Digest
		fails error
	}{
		{"none", "", nil},
		{"the right one, with what follows the end marker", digest.FromBytes(tar), nil},
		{"of the archive only", digest.FromBytes(Tar(File("a", "a"))), unpack.ErrMismatch},
		{"sha512", digest.NewDigestFromBytes(digest.SHA512, sum[:]), nil},
		{"of no known algorithm", "md5:00", digest.ErrDigestUnsupported},
		{"no digest", "sha256:../../x", digest.ErrDigestInvalidLength},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := unpackInto(t, tempDir(t), Gzip(tar), unpack.Source{DiffID: c.want}, unpack.Options{})
			if !errors.Is(err, c.fails) {
				t.Errorf("error = %v, want %v", err, c.fails)
			}
			if err == nil && c.want != "" && r.DiffID != c.want {
				t.Errorf("DiffID = %s, want %s", r.DiffID, c.want)
			}
		})
	}
}

func TestBombs(t *testing.T) {
	zeros := Gzip(make([]byte, 16<<20))
	for _, c := range []struct {
		name   string
		blob   []byte
		limits unpack.Limits
		long   bool
	}{
		{name: "by ratio, past 1 GiB", blob: bytes.Repeat(zeros, 160), limits: unpack.Limits{Bytes: -1}, long: true},
		{name: "by bytes", blob: zeros, limits: unpack.Limits{Bytes: 10 << 20, Ratio: -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.long && !full() {
				t.Skip("reads 1 GiB: LAYERCTL_FULL=1 runs it")
			}
			_, err := unpackInto(t, tempDir(t), c.blob, unpack.Source{}, unpack.Options{Limits: c.limits})
			if !errors.Is(err, unpack.ErrLimit) {
				t.Errorf("error = %v, want %v", err, unpack.ErrLimit)
			}
		})
	}
	t.Run("by the space that is to stay free", func(t *testing.T) {
		var fs unix.Statfs_t
		dir := tempDir(t)
		if err := unix.Statfs(dir, &fs); err != nil {
			t.Fatal(err)
		}
		free := int64(fs.Bavail) * int64(fs.Bsize)
		raw := RawTarOpen(RawEntry{Name: "large", Type: '0', Size: 32 << 20})
		o := unpack.Options{Limits: unpack.Limits{Reserve: free - 16<<20}}
		_, err := unpackInto(t, dir, raw, unpack.Source{}, o)
		var space *unpack.SpaceError
		if !errors.As(err, &space) || !errors.Is(err, unix.ENOSPC) {
			t.Errorf("error = %v, want a SpaceError that is ENOSPC", err)
		}
		if fi, err := os.Stat(dir + "/large"); err == nil {
			t.Errorf("large was begun: %d bytes", fi.Size())
		}
	})
}

func TestContextEndsIt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	blob := &verifying{Reader: io.MultiReader(bytes.NewReader(RawTarOpen(RawEntry{Name: "endless", Type: '0', Size: 1 << 30})), endless{cancel})}
	f, err := os.Open(tempDir(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = unpack.Layer(ctx, f, blob, unpack.Source{}, unpack.Options{Form: layer.Form{IDs: layer.SquashedIDs}, Limits: unpack.Limits{Bytes: -1, Ratio: -1}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
}

type endless struct{ cancel func() }

func (e endless) Read(p []byte) (int, error) {
	e.cancel()
	clear(p)
	return len(p), nil
}
