// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/imagetest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// TestSeveralImagesOfOneName: one is never chosen in silence, and the names
// that the error lists work.
func TestSeveralImagesOfOneName(t *testing.T) {
	t.Parallel()
	platform := ocispec.Platform{OS: "linux", Architecture: "amd64"}
	l := imagetest.NewLayout(t.TempDir())
	one := l.Image(platform, imagetest.Tar(imagetest.File("one", "1")))
	two := l.Image(platform, imagetest.Tar(imagetest.File("two", "2")))
	three := l.Image(platform, imagetest.Tar(imagetest.File("three", "3")))
	const refName, fullName = "org.opencontainers.image.ref.name", "io.containerd.image.name"
	write := func(entries ...ocispec.Descriptor) {
		t.Helper()
		raw := imagetest.JSON(map[string]any{"schemaVersion": 2, "manifests": entries})
		if err := os.WriteFile(filepath.Join(l.Dir, "index.json"), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	named := func(d ocispec.Descriptor, pairs ...string) ocispec.Descriptor {
		d.Annotations = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			d.Annotations[pairs[i]] = pairs[i+1]
		}
		return d
	}
	root := func(name string) (ocispec.Descriptor, error) {
		desc, _, err := open(t, New(Options{}), "oci:"+l.Dir+name).Root(t.Context())
		return desc, err
	}

	write(named(one, refName, "latest", fullName, "docker.io/library/one:latest"),
		named(two, refName, "latest", fullName, "docker.io/library/two:latest"),
		named(three, refName, "v3"))
	for _, name := range []string{":latest", ""} {
		_, err := root(name)
		wantError(t, err, ErrNotFound, `"docker.io/library/one:latest" "docker.io/library/two:latest"`)
	}
	for name, want := range map[string]ocispec.Descriptor{
		":docker.io/library/one:latest": one, ":two": two, ":docker.io/library/two": two, ":v3": three,
	} {
		if got, err := root(name); err != nil || got.Digest != want.Digest {
			t.Errorf("%s: got %s, %v, want %s", name, got.Digest, err, want.Digest)
		}
	}

	write(named(one, refName, "v1"), named(two, refName, "v1"))
	_, err := root(":v1")
	wantError(t, err, ErrNotFound, `"@`+one.Digest.String()+`" "@`+two.Digest.String()+`"`)
	write(named(one, refName, "v1"), named(one, refName, "v1"), named(one, refName, "v2"))
	for _, name := range []string{":v1", ""} {
		if got, err := root(name); err != nil || got.Digest != one.Digest {
			t.Errorf("the same image often, %q: got %s, %v", name, got.Digest, err)
		}
	}

	write(named(one), named(two))
	_, err = root("")
	wantError(t, err, ErrNotFound, "several images", `"@`+one.Digest.String()+`"`)
	if got, err := root("@" + two.Digest.String()); err != nil || got.Digest != two.Digest {
		t.Errorf("got %s, %v, want %s", got.Digest, err, two.Digest)
	}
}

func TestSeveralSavedImagesOfOneTag(t *testing.T) {
	t.Parallel()
	path, _ := saved(t,
		dockerImage{Config: "config.json", RepoTags: []string{"one:latest"}, Layers: savedLayers},
		dockerImage{Config: "./config.json", RepoTags: []string{"two:latest", "two:v2"}, Layers: savedLayers})
	_, err := New(Options{}).Open(t.Context(), parsed(t, "docker-archive:"+path+":latest"))
	wantError(t, err, ErrNotFound, "several images", `"one:latest" "two:latest"`)
	for _, name := range []string{":one:latest", ":two", ":v2", ":docker.io/library/two:latest"} {
		open(t, New(Options{}), "docker-archive:"+path+name)
	}
}

func parsed(t *testing.T, text string) Reference {
	t.Helper()
	r, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestNothingIsOpenedUnseen: opening a terminal makes another, and opening a
// pipe waits.
func TestNothingIsOpenedUnseen(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	watch, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(watch)
	all := []string{"/dev/ptmx", "/dev/full", pipe}
	for _, path := range all[1:] {
		if _, err := unix.InotifyAddWatch(watch, path, unix.IN_OPEN); err != nil {
			t.Skip(err)
		}
	}
	for _, to := range all {
		for _, member := range []string{"index.json", "oci-layout"} {
			l := imagetest.Hello(t.TempDir())
			name := filepath.Join(l.Dir, member)
			if err := errors.Join(os.Remove(name), os.Symlink(to, name)); err != nil {
				t.Fatal(err)
			}
			src, err := New(Options{}).Open(t.Context(), parsed(t, "oci:"+l.Dir))
			if err == nil {
				_, _, err = src.Root(t.Context())
			}
			if errkind.Of(err) != errkind.Malformed {
				t.Errorf("%s at %s: got %v", member, to, err)
			}
		}
		_, err := New(Options{}).Open(t.Context(), parsed(t, "oci-archive:"+to))
		wantError(t, err, ErrMalformed, "no regular file")
	}
	if n, err := unix.Read(watch, make([]byte, 4096)); n > 0 {
		t.Errorf("something was opened: %d bytes of events, %v", n, err)
	}
}
