// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
)

func TestMain(m *testing.M) { os.Exit(disktest.Apart(m.Run)) }

// noise is a blob of which the beginning is worth keeping.
func noise() ([]byte, ocispec.Descriptor) {
	b := make([]byte, smallestPartial+1000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b, ocispec.Descriptor{Digest: digest.FromBytes(b), Size: int64(len(b))}
}

const half = smallestPartial / 2

func openCache(t *testing.T, dir string) *Cache {
	t.Helper()
	c, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// begin leaves the first half of the blob in the cache.
func begin(ctx context.Context, t *testing.T, c *Cache, blob []byte, desc ocispec.Descriptor) (path string) {
	t.Helper()
	_, err := read(ctx, c, desc, func(io.Reader, int64) io.Reader {
		return io.MultiReader(bytes.NewReader(blob[:half]), iotest.ErrReader(io.ErrUnexpectedEOF))
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	return filepath.Join(c.dir.Name(), partialName(desc.Digest))
}

// read reads a blob to its end or to an error.
func read(ctx context.Context, c *Cache, desc ocispec.Descriptor, from func(begun io.Reader, n int64) io.Reader) ([]byte, error) {
	r, err := c.Resume(ctx, desc, func(begun io.Reader, n int64) (io.ReadCloser, error) { return io.NopCloser(from(begun, n)), nil })
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(r)
	return got, errors.Join(err, r.Close())
}

// otherBoot makes the checkpoint one of an earlier boot.
func otherBoot(path string) error {
	return editCheckpoint(path, func(p *checkpoint) { p.Boot = "another" })
}

func editCheckpoint(path string, edit func(*checkpoint)) error {
	raw, err := os.ReadFile(path + checkpointSuffix)
	if err != nil {
		return err
	}
	var p checkpoint
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	edit(&p)
	raw, err = json.Marshal(p)
	return errors.Join(err, os.WriteFile(path+checkpointSuffix, raw, 0o600))
}

// What was begun is gone on with only where it is what the checkpoint says; the
// blob is right in any case, and nothing else changes.
func TestResume(t *testing.T) {
	blob, desc := noise()
	for _, c := range []struct {
		name string
		harm func(path string) error
		n    int64
	}{
		{"nothing", func(string) error { return nil }, half},
		{"another boot", otherBoot, half},
		{"bytes that no checkpoint vouches for", func(path string) error {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.Write(make([]byte, 100))
			}
			return errors.Join(err, f.Close(), otherBoot(path))
		}, half},
		{"another byte", func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt([]byte{blob[100] ^ 1}, 100)
			}
			return errors.Join(err, f.Close(), otherBoot(path))
		}, 0},
		{"a shorter file", func(path string) error { return errors.Join(os.Truncate(path, half-1), otherBoot(path)) }, 0},
		{"an empty file", func(path string) error { return errors.Join(os.Truncate(path, 0), otherBoot(path)) }, 0},
		{"a file longer than the blob", func(path string) error { return os.Truncate(path, desc.Size+1) }, 0},
		{"no file", func(path string) error { return os.Remove(path) }, 0},
		{"no checkpoint", func(path string) error { return os.Remove(path + checkpointSuffix) }, 0},
		{"a cut checkpoint", func(path string) error { return os.Truncate(path+checkpointSuffix, 20) }, 0},
		{"a huge checkpoint", func(path string) error { return os.Truncate(path+checkpointSuffix, maxCheckpoint+1) }, 0},
		{"a checkpoint of another version", func(path string) error { return os.WriteFile(path+checkpointSuffix, []byte(`[1]`), 0o600) }, 0},
		{"a negative size", func(path string) error { return editCheckpoint(path, func(p *checkpoint) { p.Size = -1 }) }, 0},
		{"a size past the file", func(path string) error { return editCheckpoint(path, func(p *checkpoint) { p.Size++ }) }, 0},
		{"another blob's", func(path string) error {
			return editCheckpoint(path, func(p *checkpoint) { p.Boot, p.Digest = "another", digest.FromString("x") })
		}, 0},
		{"a checkpoint of nothing", func(path string) error {
			return editCheckpoint(path, func(p *checkpoint) { p.Boot, p.Size = "another", 0 })
		}, 0},
		{"a link in its place", func(path string) error {
			other := filepath.Join(filepath.Dir(path), "other")
			return errors.Join(os.Rename(path, other), os.Symlink("other", path))
		}, 0},
		{"a link for a checkpoint", func(path string) error {
			other := filepath.Join(filepath.Dir(path), "other")
			return errors.Join(os.Rename(path+checkpointSuffix, other), os.Symlink("other", path+checkpointSuffix))
		}, 0},
		{"a directory in its place", func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			cache := openCache(t, t.TempDir())
			path := begin(t.Context(), t, cache, blob, desc)
			if n := cache.Begun(desc); n != half {
				t.Errorf("%d bytes are begun", n)
			}
			if err := c.harm(path); err != nil {
				t.Fatal(err)
			}
			other, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "other"))
			n := int64(-1)
			got, err := read(t.Context(), cache, desc, func(begun io.Reader, begunN int64) io.Reader {
				n = begunN
				return io.MultiReader(begun, bytes.NewReader(blob[n:]))
			})
			if n != c.n || err != nil || !bytes.Equal(got, blob) {
				t.Errorf("went on at byte %d, want %d; read %d bytes, %v", n, c.n, len(got), err)
			}
			if kept, err := cache.Bytes(desc, desc.Size); err != nil || !bytes.Equal(kept, blob) {
				t.Errorf("the cache has %d bytes, %v", len(kept), err)
			}
			if now, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "other")); !bytes.Equal(now, other) {
				t.Error("another file was changed")
			}
			if left, _ := cache.Partials(); c.n > 0 && len(left) != 0 {
				t.Errorf("left are %v", left)
			}
		})
	}
}

// Bytes that are said to be wrong are not gone on with; nor is what another
// stream has in hand.
func TestWhatIsNotResumed(t *testing.T) {
	blob, desc := noise()
	cache := openCache(t, t.TempDir())
	begin(t.Context(), t, cache, blob, desc)
	held, err := cache.Resume(t.Context(), desc, func(begun io.Reader, n int64) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(begun, bytes.NewReader(blob[n:half]), iotest.ErrReader(errkind.With(errkind.Mismatch, errors.New("other bytes"))))), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	beside, err := read(t.Context(), openCache(t, cache.dir.Name()), desc, func(_ io.Reader, n int64) io.Reader { return bytes.NewReader(blob[n:]) })
	if err != nil || !bytes.Equal(beside, blob) || !cache.Has(desc) {
		t.Errorf("beside it came %d bytes, %v", len(beside), err)
	}
	if err := cache.Remove(t.Context(), desc); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(held); !errors.Is(err, errkind.Mismatch) {
		t.Errorf("read with %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := cache.Partials(); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	// What nobody asks for again goes when somebody says so.
	begin(t.Context(), t, cache, blob, desc)
	left, err := cache.Partials()
	if err != nil || len(left) != 1 || left[0].Digest != desc.Digest || left[0].Size != half {
		t.Fatalf("left are %v, %v", left, err)
	}
	if err := cache.Forget(t.Context(), left[0]); err != nil || cache.Begun(desc) != 0 {
		t.Errorf("forgotten with %v", err)
	}
	if names, _ := filepath.Glob(filepath.Join(cache.dir.Name(), partialPrefix+"*")); len(names) != 0 {
		t.Errorf("left are %v", names)
	}
}

// A step that fails costs the keeping at most. In short it is each fifth.
func TestEveryStepOfResumeFails(t *testing.T) {
	blob, desc := noise()
	every := 1
	if os.Getenv("LAYERCTL_FULL") != "1" {
		every = 5
	}
	for n := 0; ; n += every {
		cache := openCache(t, disktest.Memory(t))
		cache.every = time.Nanosecond
		begin(t.Context(), t, cache, blob, desc)
		ctx, op := durable.WithFaultAt(t.Context(), n, func() error { return unix.EIO })
		for _, most := range []int{half + 1000, len(blob)} {
			got, err := read(ctx, cache, desc, func(begun io.Reader, n int64) io.Reader {
				return io.MultiReader(begun, bytes.NewReader(blob[n:max(int(n), most)]), iotest.ErrReader(io.EOF))
			})
			if most == len(blob) && !bytes.Equal(got, blob) {
				t.Fatalf("step %d, %q: read %d bytes, %v", n, *op, len(got), err)
			}
		}
		if cache.Has(desc) {
			if kept, err := cache.Bytes(desc, desc.Size); err != nil || !bytes.Equal(kept, blob) {
				t.Errorf("step %d, %q: the cache has %d bytes, %v", n, *op, len(kept), err)
			}
		}
		if *op == "" {
			return
		}
	}
}

// After a power cut what the last checkpoint vouches for is there.
func TestPartialSurvivesAPowerCut(t *testing.T) {
	blob, desc := noise()
	for _, kind := range [][]string{{"mkfs.ext4", "-q", "-F"}, {"mkfs.xfs", "-q", "-f"}} {
		if kind[0] == "mkfs.xfs" && os.Getenv("LAYERCTL_FULL") != "1" {
			continue
		}
		t.Run(kind[0], func(t *testing.T) {
			disk := disktest.New(t, 320<<20, kind[0], kind[1:]...)
			cache := openCache(t, filepath.Join(disk.Dir, "cache"))
			path := begin(t.Context(), t, cache, blob, desc)
			// More comes, and the power goes.
			r, err := cache.Resume(t.Context(), desc, func(begun io.Reader, n int64) (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(begun, bytes.NewReader(blob[n:half+5000]), iotest.ErrReader(io.ErrUnexpectedEOF))), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.ReadAll(r) // its end is not the blob's
			if err := disk.Cut(); err != nil {
				t.Fatal(err)
			}
			_ = r.Close() // there is no disk
			cache.Close()
			disk.Reboot()
			if err := otherBoot(path); err != nil {
				t.Fatal(err)
			}
			cache = openCache(t, filepath.Join(disk.Dir, "cache"))
			from := int64(0)
			got, err := read(t.Context(), cache, desc, func(begun io.Reader, n int64) io.Reader {
				from = n
				return io.MultiReader(begun, bytes.NewReader(blob[n:]))
			})
			if err != nil || !bytes.Equal(got, blob) || from < half {
				t.Errorf("went on at byte %d, read %d bytes, %v", from, len(got), err)
			}
			cache.Close()
		})
	}
}

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte(`{"boot":"x","size":5,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}`))
	f.Add([]byte(`{"size":-1}`))
	f.Add([]byte(`[]`))
	path := f.TempDir()
	dir, err := os.Open(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := os.WriteFile(filepath.Join(path, "b"+checkpointSuffix), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := readCheckpoint(dir, "b")
		if err == nil && (p.Size < 0 || !strings.HasPrefix(strings.TrimSpace(string(raw)), "{") && strings.TrimSpace(string(raw)) != "null") {
			t.Errorf("%q is a checkpoint of %d bytes", raw, p.Size)
		}
	})
}

// Who forgets a beginning takes nothing from a stream that begins the blob anew.
func TestForgetBesideABeginning(t *testing.T) {
	blob, desc := noise()
	c := openCache(t, t.TempDir())
	begin(t.Context(), t, c, blob, desc)
	left, err := c.Partials()
	if err != nil || len(left) != 1 {
		t.Fatal(left, err)
	}
	begun, steps := make(chan struct{}), 0
	ctx := durable.WithFault(t.Context(), func(op string) error {
		if op != "remove" {
			return nil
		}
		if steps++; steps == 2 { // the file is gone, and its checkpoint is not
			go func() {
				defer close(begun)
				begin(context.WithoutCancel(t.Context()), t, c, blob, desc)
			}()
			select {
			case <-begun:
			case <-time.After(50 * time.Millisecond): // it waits
			}
		}
		return nil
	})
	if err := c.Forget(ctx, left[0]); err != nil {
		t.Fatal(err)
	}
	<-begun
	n := int64(-1)
	got, err := read(t.Context(), c, desc, func(already io.Reader, size int64) io.Reader {
		n = size
		return io.MultiReader(already, bytes.NewReader(blob[size:]))
	})
	if err != nil || n != half || !bytes.Equal(got, blob) {
		t.Errorf("went on at %d, %v", n, err)
	}
}
