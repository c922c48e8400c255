// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func open(t *testing.T, dir string) *Cache {
	t.Helper()
	c, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func describe(b []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(b), Size: int64(len(b))}
}

func (c *Cache) path(d digest.Digest) string {
	return filepath.Join(c.dir.Name(), "blobs", d.Algorithm().String(), d.Encoded())
}

// rubbish are the temporary files.
func rubbish(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, ".tmp-*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestPutAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "cache")
	c := open(t, dir)
	for _, b := range [][]byte{[]byte("hello"), nil, bytes.Repeat([]byte("x"), 1<<20)} {
		desc := describe(b)
		if _, err := c.Blob(desc); !errors.Is(err, ErrMiss) {
			t.Errorf("before: got %v, want %v", err, ErrMiss)
		}
		for range 2 { // the second time it is there
			if err := c.Put(t.Context(), desc, bytes.NewReader(b)); err != nil {
				t.Fatal(err)
			}
		}
		got, err := open(t, dir).Bytes(desc, 1<<20)
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("got %d bytes, %v, want %d", len(got), err, len(b))
		}
		r, err := c.Blob(desc)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := io.Copy(&out, r); err != nil || !bytes.Equal(out.Bytes(), b) {
			t.Errorf("copied %d bytes, %v", out.Len(), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if names := rubbish(t, dir); len(names) != 0 {
		t.Errorf("left %q", names)
	}
	d512 := ocispec.Descriptor{Digest: digest.SHA512.FromString("x"), Size: 1}
	if err := c.Put(t.Context(), d512, strings.NewReader("x")); err != nil || !c.Has(d512) {
		t.Errorf("sha512: %v", err)
	}
}

func TestWhatIsNotKept(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	good := []byte("good bytes")
	broken := errors.New("broken")
	tests := []struct {
		name string
		r    io.Reader
		read int // of the stream
		want error
	}{
		{"other bytes", strings.NewReader("evil bytes"), 100, nil},
		{"too few", bytes.NewReader(good[:5]), 100, nil},
		{"too many", io.MultiReader(bytes.NewReader(good), strings.NewReader("!")), 100, nil},
		{"not read to the end", bytes.NewReader(good), 5, nil},
		{"an error", io.MultiReader(bytes.NewReader(good[:5]), &errorReader{broken}), 100, broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := c.Keep(t.Context(), describe(good), io.NopCloser(tt.r))
			_, err := io.ReadAll(io.LimitReader(k, int64(tt.read)))
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v: the stream is passed on as it is", err, tt.want)
			}
			if err := k.Close(); err != nil {
				t.Error(err)
			}
			if Kept(k) == nil || c.Has(describe(good)) {
				t.Error("it was kept")
			}
		})
	}
	if names := rubbish(t, dir); len(names) != 0 {
		t.Errorf("left %q", names)
	}
}

type errorReader struct{ err error }

func (r *errorReader) Read([]byte) (int, error) { return 0, r.err }

func TestDamageIsAMiss(t *testing.T) {
	b := []byte("some bytes")
	desc := describe(b)
	tests := map[string]func(path string) error{
		"a flipped byte": func(path string) error { return os.WriteFile(path, []byte("same bytes"), 0o644) },
		"cut":            func(path string) error { return os.Truncate(path, 3) },
		"grown":          func(path string) error { return os.Truncate(path, 30) },
		"empty":          func(path string) error { return os.Truncate(path, 0) },
		"gone":           os.Remove,
		"a directory":    func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) },
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			c := open(t, t.TempDir())
			if err := errors.Join(c.Put(t.Context(), desc, bytes.NewReader(b)), damage(c.path(desc.Digest))); err != nil {
				t.Fatal(err)
			}
			// io.Copy would rather have the file copy itself.
			var out bytes.Buffer
			r, err := c.Blob(desc)
			if err == nil {
				_, err = io.Copy(&out, r)
				err = errors.Join(err, r.Close())
			}
			if !errors.Is(err, ErrMiss) {
				t.Errorf("got %v, want %v", err, ErrMiss)
			}
			if c.Has(desc) {
				t.Error("it is still there")
			}
			if name == "a directory" {
				return
			}
			if err := c.Put(t.Context(), desc, bytes.NewReader(b)); err != nil {
				t.Errorf("put again: %v", err)
			}
			if got, err := c.Bytes(desc, 100); err != nil || !bytes.Equal(got, b) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestDescriptorsThatAreNone(t *testing.T) {
	c := open(t, t.TempDir())
	for _, d := range []ocispec.Descriptor{
		{}, {Digest: "sha256:../../oci-layout", Size: 1}, {Digest: digest.FromString(""), Size: -1},
		{Digest: digest.SHA384.FromString("x"), Size: 1},
	} {
		if _, err := c.Blob(d); err == nil || errors.Is(err, ErrMiss) {
			t.Errorf("Blob(%v): got %v", d, err)
		}
		if err := c.Put(t.Context(), d, strings.NewReader("x")); err == nil {
			t.Errorf("Put(%v): got no error", d)
		}
		if err := c.Tag(t.Context(), "x", d); err == nil {
			t.Errorf("Tag(%v): got no error", d)
		}
	}
	if _, err := c.Bytes(describe([]byte("abc")), 2); err == nil || errors.Is(err, ErrMiss) {
		t.Errorf("a limit: got %v", err)
	}
}

func TestTags(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	one, two := describe([]byte("one")), describe([]byte("two"))
	for _, d := range []ocispec.Descriptor{one, two} {
		if err := c.Tag(t.Context(), "docker.io/library/a:1", d); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Tag(t.Context(), "b", one); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]digest.Digest{"docker.io/library/a:1": two.Digest, "b": one.Digest} {
		if got, err := open(t, dir).Lookup(name); err != nil || got.Digest != want || got.Annotations != nil {
			t.Errorf("%s: got %+v, %v, want %s", name, got, err, want)
		}
	}
	if err := errors.Join(c.Untag(t.Context(), "b"), c.Untag(t.Context(), "b")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Lookup("b"); !errors.Is(err, ErrMiss) {
		t.Errorf("got %v, want %v", err, ErrMiss)
	}
}

func TestManyWriters(t *testing.T) {
	dir := t.TempDir()
	blob := bytes.Repeat([]byte("shared"), 10_000)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			c, err := Open(t.Context(), dir)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if err := c.Put(t.Context(), describe(blob), bytes.NewReader(blob)); err != nil {
				t.Error(err)
			}
			if err := c.Tag(t.Context(), fmt.Sprint("t", i), describe(blob)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c := open(t, dir)
	for i := range 8 {
		if _, err := c.Lookup(fmt.Sprint("t", i)); err != nil {
			t.Error(err)
		}
	}
	if names := rubbish(t, dir); len(names) != 0 {
		t.Errorf("left %q", names)
	}
}

// Two processes replace the same damaged blob: afterwards each finds it in the cache.
func TestPutBesideAnother(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	blob := []byte("abc")
	path := filepath.Join(dir, "blobs", "sha256", describe(blob).Digest.Encoded())
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	renames := 0
	ctx := durable.WithFault(t.Context(), func(op string) error {
		if op != "rename" {
			return nil
		}
		if renames++; renames == 2 {
			return os.WriteFile(path, blob, 0o600) // the other one's
		}
		return nil
	})
	if err := c.Put(ctx, describe(blob), bytes.NewReader(blob)); err != nil {
		t.Error(err)
	}
	if names := rubbish(t, dir); len(names) != 0 {
		t.Errorf("left %q", names)
	}
}

// A file is given up in one step for those who sweep beside it.
func TestDropBesideOpening(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				c, err := Open(context.WithoutCancel(ctx), dir)
				if err != nil {
					t.Error(err)
					return
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 100 {
		err := c.Put(t.Context(), describe([]byte("abc")), strings.NewReader("abd"))
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
			break
		}
	}
	cancel()
	wg.Wait()
	if names := rubbish(t, dir); len(names) != 0 {
		t.Errorf("left %q", names)
	}
}

func TestOpenSweepsWhatNobodyHolds(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	if err := os.WriteFile(filepath.Join(dir, ".tmp-dead"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	k := c.Keep(t.Context(), describe([]byte("live")), io.NopCloser(strings.NewReader("live")))
	open(t, dir)
	if names := rubbish(t, dir); len(names) != 1 {
		t.Errorf("got %q, want the one in use", names)
	}
	if _, err := io.ReadAll(k); err != nil || Kept(k) != nil {
		t.Errorf("got %v, %v, want it kept", err, Kept(k))
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"something else":   {"precious": ""},
		"another version":  {"oci-layout": `{"imageLayoutVersion":"2.0.0"}`, "index.json": "{}"},
		"no JSON":          {"oci-layout": "x"},
		"an index of none": {"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": "x"},
	} {
		dir := t.TempDir()
		for f, content := range files {
			if err := os.WriteFile(filepath.Join(dir, f), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: got %v, want an error that names the directory", name, err)
		}
	}
}

// TestDamagedIndexIsTold: what the cache holds cannot be told then, and the
// caller learns which directory to remove.
func TestDamagedIndexIsTold(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"cut":     func(path string) error { return os.WriteFile(path, []byte("{"), 0o644) },
		"empty":   func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"objects": func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("{"), maxObjects+1), 0o644) },
		"missing": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			open(t, dir)
			if err := errors.Join(damage(filepath.Join(dir, "index.json"))); err != nil {
				t.Fatal(err)
			}
			_, err := Open(t.Context(), dir)
			if index, ok := errors.AsType[*IndexError](err); !ok || index.Dir != dir || errkind.Of(err) != errkind.Mismatch {
				t.Errorf("got %v, want an IndexError for %s", err, dir)
			}
		})
	}
}

// TestEachStepMayFail makes one step after the other fail: the cache never has
// a wrong blob, no rubbish stays after the next Open, and the stream that is
// passed on is whole all the same.
func TestEachStepMayFail(t *testing.T) {
	b := []byte("some bytes")
	desc := describe(b)
	for n := 0; ; n++ {
		dir := t.TempDir()
		open(t, dir)
		i, fired := 0, false
		broken := errors.New("broken")
		ctx := durable.WithFault(t.Context(), func(string) error {
			if i++; i == n+1 {
				fired = true
				return broken
			}
			return nil
		})
		err := use(ctx, dir, desc, b, t)
		if fired && err == nil {
			t.Errorf("step %d: no error", n)
		}
		c := open(t, dir)
		if got, err := c.Bytes(desc, 100); err == nil && !bytes.Equal(got, b) || err != nil && !errors.Is(err, ErrMiss) {
			t.Errorf("step %d: got %q, %v", n, got, err)
		}
		if names := rubbish(t, dir); len(names) != 0 {
			t.Errorf("step %d left %q", n, names)
		}
		if !fired {
			if n < 5 {
				t.Errorf("only %d steps", n)
			}
			return
		}
	}
}

func use(ctx context.Context, dir string, desc ocispec.Descriptor, b []byte, t *testing.T) error {
	c, err := Open(ctx, dir)
	if err != nil {
		return err
	}
	defer c.Close()
	k := c.Keep(ctx, desc, io.NopCloser(bytes.NewReader(b)))
	if got, err := io.ReadAll(k); err != nil || !bytes.Equal(got, b) {
		t.Errorf("passed on %q, %v", got, err)
	}
	if err := errors.Join(k.Close(), Kept(k)); err != nil {
		return err
	}
	return c.Tag(ctx, "x", desc)
}

// TestSkopeoReadsIt copies an image out with another program.
func TestSkopeoReadsIt(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("needs skopeo: ", err)
	}
	src := imagetest.NewLayout(t.TempDir())
	image := src.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, imagetest.Tar(imagetest.File("a", "b")))
	names, err := filepath.Glob(filepath.Join(src.Dir, "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	c := open(t, t.TempDir())
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Put(t.Context(), describe(b), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Tag(t.Context(), "v1", image); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	if out, err := exec.Command(skopeo, "copy", "--preserve-digests", "oci:"+c.dir.Name()+":v1", "dir:"+to).CombinedOutput(); err != nil {
		t.Fatalf("skopeo: %v\n%s", err, out)
	}
	if raw, err := os.ReadFile(filepath.Join(to, "manifest.json")); err != nil || digest.FromBytes(raw) != image.Digest {
		t.Errorf("got %s, %v, want %s", digest.FromBytes(raw), err, image.Digest)
	}
}

func TestFindAndList(t *testing.T) {
	c := open(t, t.TempDir())
	desc := describe([]byte("some bytes"))
	if _, err := c.Find(desc.Digest); !errors.Is(err, ErrMiss) {
		t.Errorf("before: got %v, want %v", err, ErrMiss)
	}
	if err := c.Put(t.Context(), desc, strings.NewReader("some bytes")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // before it has a tag, and after
		got, err := c.Find(desc.Digest)
		if err != nil || got.Size != desc.Size || got.MediaType != "" || got.Annotations != nil {
			t.Errorf("got %+v, %v", got, err)
		}
		if err := c.Tag(t.Context(), "x", desc); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Find("sha256:../x"); err == nil || errors.Is(err, ErrMiss) {
		t.Errorf("a digest that is none: got %v", err)
	}
	blobs, err := c.Blobs()
	if err != nil || len(blobs) != 1 || blobs[0].Digest != desc.Digest || blobs[0].Size != desc.Size || blobs[0].Kept.IsZero() {
		t.Errorf("got %+v, %v", blobs, err)
	}
	tagged, err := c.Tagged()
	if err != nil || len(tagged) != 1 || tagged[0].Annotations[ocispec.AnnotationRefName] != "x" {
		t.Errorf("got %+v, %v", tagged, err)
	}
}

// TestMediaTypeIsTheBytes: what one host says of a manifest is not kept for
// those who ask others for it.
func TestMediaTypeIsTheBytes(t *testing.T) {
	const index, image, list = ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, "application/vnd.docker.distribution.manifest.list.v2+json"
	for body, want := range map[string]string{
		`{"schemaVersion":2,"mediaType":"` + image + `","config":{},"layers":[]}`: image,
		`{"schemaVersion":2,"config":{},"layers":[]}`:                             image,
		`{"schemaVersion":2,"manifests":[]}`:                                      index,
		`{"schemaVersion":2,"mediaType":"` + list + `","manifests":[]}`:           list,
		`not JSON`: "",
	} {
		for _, claimed := range []string{index, image, "text/html", "application/vnd.evil", ""} {
			c := open(t, t.TempDir())
			desc := describe([]byte(body))
			desc.MediaType = claimed
			if err := errors.Join(c.Put(t.Context(), desc, strings.NewReader(body)), c.Tag(t.Context(), "x", desc)); err != nil {
				t.Fatal(err)
			}
			if got, err := c.Lookup("x"); err != nil || got.MediaType != want {
				t.Errorf("%s as %q: got %q, %v", body, claimed, got.MediaType, err)
			}
			if got, err := c.Find(desc.Digest); err != nil || got.MediaType != "" {
				t.Errorf("%s as %q: found %q, %v", body, claimed, got.MediaType, err)
			}
			// A cache that an older program has filled.
			old := imagetest.JSON(map[string]any{"schemaVersion": 2, "manifests": []any{map[string]any{
				"mediaType": claimed, "digest": desc.Digest, "size": desc.Size, "annotations": map[string]string{ocispec.AnnotationRefName: "x"},
			}}})
			if err := os.WriteFile(filepath.Join(c.dir.Name(), "index.json"), old, 0o644); err != nil {
				t.Fatal(err)
			}
			if got, err := c.Tagged(); err != nil || len(got) != 1 || got[0].MediaType != want {
				t.Errorf("%s as %q: tagged %+v, %v", body, claimed, got, err)
			}
		}
	}
}

func TestRootUsesNoOtherUsersCache(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir); !errors.Is(err, errkind.Denied) {
		t.Errorf("got %v, want %v", err, errkind.Denied)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("made %v, %v", left, err)
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := checkOwner(f, 12345); err != nil {
		t.Errorf("the user's own: %v", err)
	}
}

// TestNothingIsFollowed: a link or a pipe in place of a file is neither
// followed nor waited for.
func TestNothingIsFollowed(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	desc := describe([]byte("secret"))
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	blob := filepath.Join(dir, "blobs", "sha256", desc.Digest.Encoded())
	if err := os.Symlink(outside, blob); err != nil {
		t.Fatal(err)
	}
	if b, err := c.Blob(desc); err == nil {
		b.Close()
		t.Error("a link was followed")
	}
	for _, name := range []string{"index.json", "oci-layout"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o644)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), dir); err == nil {
			t.Errorf("%s is a pipe: got no error", name)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, ".tmp-x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir); err == nil {
		t.Log("opened again")
	}
}

// TestTagWithoutAName holds that entries without a name stay beside each other.
func TestTagWithoutAName(t *testing.T) {
	t.Parallel()
	c, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, text := range []string{"a", "b", "a"} {
		raw := []byte(`{"schemaVersion":2,"manifests":[],"annotations":{"x":"` + text + `"}}`)
		desc := ocispec.Descriptor{Digest: digest.FromBytes(raw), Size: int64(len(raw))}
		if err := errors.Join(c.Put(t.Context(), desc, bytes.NewReader(raw)), c.Tag(t.Context(), "", desc)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := c.Tagged(); err != nil || len(got) != 2 {
		t.Errorf("got %v, %v, want two entries", got, err)
	}
}
