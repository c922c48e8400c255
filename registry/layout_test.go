// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// archiveOf packs a layout into a file.
func archiveOf(t *testing.T, dir string) string {
	t.Helper()
	return writeFile(t, "image.tar", imagetest.TarDir(dir))
}

func writeFile(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLayoutAndArchive(t *testing.T) {
	t.Parallel()
	desc, body := helloLayer(t)
	for _, ref := range []string{"oci:" + hello, "oci:" + hello + ":latest", "oci-archive:" + archiveOf(t, hello)} {
		src := open(t, New(Options{}), ref)
		top, err := src.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, raw, err := src.Root(t.Context())
		if err != nil || got.Digest != top.Digest || digest.FromBytes(raw) != top.Digest || top.MediaType != ocispec.MediaTypeImageIndex {
			t.Errorf("%s: got %+v, %v, want %+v", ref, got, err, top)
		}
		layer, err := readAll(t.Context(), src, desc)
		if err != nil || !bytes.Equal(layer, body) {
			t.Errorf("%s: got layer of %d bytes, %v, want %d", ref, len(layer), err, len(body))
		}
	}
}

func TestLayoutNames(t *testing.T) {
	t.Parallel()
	l := imagetest.NewLayout(t.TempDir())
	one := l.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, imagetest.Tar())
	two := l.Image(ocispec.Platform{OS: "linux", Architecture: "arm64"}, imagetest.Tar())
	nested := l.Index(one, two)
	ref := "oci:" + l.Dir
	c := New(Options{})
	root := func(ref string) (digest.Digest, error) {
		desc, raw, err := open(t, c, ref).Root(t.Context())
		if err == nil && digest.FromBytes(raw) != desc.Digest {
			t.Errorf("%s: the bytes are not those of %s", ref, desc.Digest)
		}
		return desc.Digest, err
	}

	_, err := root(ref)
	wantError(t, err, ErrNotFound, "empty")
	l.Tag(one, "v1")
	if got, err := root(ref); err != nil || got != one.Digest {
		t.Errorf("only one: got %s, %v, want %s", got, err, one.Digest)
	}
	l.Tag(nested, "docker.io/library/both:v2")
	_, err = root(ref)
	wantError(t, err, ErrNotFound, `["v1" "docker.io/library/both:v2"]`)
	_, err = root(ref + ":none")
	wantError(t, err, ErrNotFound, `no tag "none"`)
	for name, want := range map[string]digest.Digest{
		":v1":                        one.Digest,
		":docker.io/library/both:v2": nested.Digest,
		"@" + two.Digest.String():    two.Digest, // only in the nested index
	} {
		if got, err := root(ref + name); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", name, got, err, want)
		}
	}
	_, err = root(ref + "@sha256:" + someHex)
	wantError(t, err, ErrNotFound, someHex)
}

func TestLayoutWithoutNamesIsAnIndex(t *testing.T) {
	t.Parallel()
	l := imagetest.NewLayout(t.TempDir())
	l.Tag(l.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}), "")
	l.Tag(l.Image(ocispec.Platform{OS: "linux", Architecture: "arm64"}), "")
	desc, raw, err := open(t, New(Options{}), "oci:"+l.Dir).Root(t.Context())
	want, _ := os.ReadFile(filepath.Join(l.Dir, "index.json"))
	if err != nil || !bytes.Equal(raw, want) || desc.Digest != digest.FromBytes(want) {
		t.Errorf("got %+v, %q, %v, want index.json", desc, raw, err)
	}
}

// What "docker save x y" writes with containerd's store: one short name twice,
// and the full names in an annotation of their own.
func TestLayoutOfSharedNames(t *testing.T) {
	t.Parallel()
	l := imagetest.NewLayout(t.TempDir())
	add := func(arch, short, full string) ocispec.Descriptor {
		d := l.Image(ocispec.Platform{OS: "linux", Architecture: arch}, imagetest.Tar())
		d.Annotations = map[string]string{"org.opencontainers.image.ref.name": short}
		if full != "" {
			d.Annotations["io.containerd.image.name"] = full
		}
		l.Add(d)
		return d
	}
	x := add("amd64", "latest", "docker.io/library/x:latest")
	y := add("arm64", "latest", "docker.io/library/y:latest")
	z := add("s390x", "v1", "reg.example:5000/z:v1")
	b := add("riscv64", "b", "")
	add("ppc64le", "b", "")
	again := add("ppc64le", "c", "") // the same digest under another name
	for name, want := range map[string]digest.Digest{
		":docker.io/library/x:latest": x.Digest, ":x:latest": x.Digest, ":x": x.Digest, ":library/x:latest": x.Digest,
		":docker.io/library/y:latest": y.Digest, ":y": y.Digest,
		":v1": z.Digest, ":z:v1": z.Digest, ":reg.example:5000/z:v1": z.Digest,
		":c": again.Digest, "@" + b.Digest.String(): b.Digest,
	} {
		got, err := open(t, New(Options{}), "oci:"+l.Dir+name).Describe(t.Context())
		if err != nil || got.Digest != want {
			t.Errorf("%s: got %s, %v, want %s", name, got.Digest, err, want)
		}
	}
	for name, words := range map[string][]string{
		":latest": {`"latest" is the name of several images`, `["docker.io/library/x:latest" "docker.io/library/y:latest"]`},
		":b":      {`"b" is the name of several images`, `"@` + b.Digest.String() + `"`, `"c"`},
		"":        {"several images", `"docker.io/library/x:latest"`, `"reg.example:5000/z:v1"`, `"@` + b.Digest.String() + `"`, `"c"`},
		":none":   {`no tag "none"`, `"docker.io/library/y:latest"`},
	} {
		_, err := open(t, New(Options{}), "oci:"+l.Dir+name).Describe(t.Context())
		wantError(t, err, ErrNotFound, words...)
	}
}

func TestLayoutWithoutNamesOfOnePlatform(t *testing.T) {
	t.Parallel()
	l := imagetest.NewLayout(t.TempDir())
	one := l.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, imagetest.Tar())
	two := l.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, imagetest.Tar(imagetest.File("a", "b")))
	l.Tag(one, "")
	l.Tag(two, "")
	_, err := open(t, New(Options{}), "oci:"+l.Dir).Describe(t.Context())
	wantError(t, err, ErrNotFound, "by :TAG or @DIGEST", one.Digest.String(), two.Digest.String())
}

// Tools that copy one image after the other write no platforms.
func TestLayoutWithoutNamesAndPlatforms(t *testing.T) {
	t.Parallel()
	l := imagetest.NewLayout(t.TempDir())
	one := l.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, imagetest.Tar())
	two := l.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, imagetest.Tar(imagetest.File("a", "b")))
	one.Platform, two.Platform = nil, nil
	l.Tag(one, "")
	l.Tag(two, "")
	_, err := open(t, New(Options{}), "oci:"+l.Dir).Describe(t.Context())
	wantError(t, err, ErrNotFound, "by :TAG or @DIGEST", one.Digest.String(), two.Digest.String())
	if desc, err := open(t, New(Options{}), "oci:"+l.Dir+"@"+two.Digest.String()).Describe(t.Context()); err != nil || desc.Digest != two.Digest {
		t.Errorf("by its digest: %s, %v", desc.Digest, err)
	}
}

func TestLayoutErrors(t *testing.T) {
	t.Parallel()
	layer, body := helloLayer(t)
	tests := []struct {
		name   string
		damage func(dir, blob string) error
		kind   error
	}{
		{"a flipped byte", func(_, blob string) error {
			b := bytes.Clone(body)
			b[len(b)/2] ^= 1
			return os.WriteFile(blob, b, 0o644)
		}, ErrMismatch},
		{"a byte too few", func(_, blob string) error { return os.Truncate(blob, int64(len(body)-1)) }, ErrMismatch},
		{"a byte too many", func(_, blob string) error { return os.Truncate(blob, int64(len(body)+1)) }, ErrMismatch},
		{"no blob", func(_, blob string) error { return os.Remove(blob) }, ErrNotFound},
		{"a pipe", func(_, blob string) error { return errors.Join(os.Remove(blob), syscall.Mkfifo(blob, 0o644)) }, ErrMalformed},
		{"a directory", func(_, blob string) error { return errors.Join(os.Remove(blob), os.Mkdir(blob, 0o755)) }, ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := imagetest.Hello(t.TempDir())
			if err := tt.damage(l.Dir, l.Path(layer.Digest)); err != nil {
				t.Fatal(err)
			}
			_, err := readAll(t.Context(), open(t, New(Options{}), "oci:"+l.Dir), layer)
			wantError(t, err, tt.kind)
		})
	}
}

func TestNoLayout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := New(Options{})
	for ref, kind := range map[string]error{
		"oci:" + dir:                                            ErrMalformed,
		"oci:" + dir + "/none":                                  ErrNotFound,
		"oci-archive:" + dir:                                    ErrMalformed,
		"oci-archive:" + dir + "/none":                          ErrNotFound,
		"oci-archive:" + writeFile(t, "a", []byte("x")):         ErrMalformed,
		"oci-archive:" + writeFile(t, "b", imagetest.Gzip(nil)): ErrMalformed,
		"oci-archive:" + writeFile(t, "c", imagetest.Tar()):     ErrMalformed,
		"docker-archive:" + writeFile(t, "d", imagetest.Tar()):  ErrMalformed,
	} {
		r, err := Parse(ref)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Open(t.Context(), r)
		wantError(t, err, kind, "open "+ref)
	}
}
