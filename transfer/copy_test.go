// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

const hello = "oci:../testdata/images/hello:latest"

func parseRef(t *testing.T, text string) registry.Reference {
	t.Helper()
	ref, err := registry.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// client asks the registries over http, and nobody's configuration.
func client(registries ...*registrytest.Pushed) *registry.Client {
	o := registry.Options{AuthFile: os.DevNull, HostsDir: "/nonexistent", K3sRegistries: "/nonexistent", RegistriesConf: "/nonexistent", Backoff: time.Millisecond}
	for _, p := range registries {
		o.PlainHTTP = append(o.PlainHTTP, p.Host)
	}
	return registry.New(o)
}

func pushed(t *testing.T) *registrytest.Pushed {
	t.Helper()
	p := registrytest.NewPushed()
	t.Cleanup(p.Close)
	return p
}

// digestOf is what a reference names.
func digestOf(t *testing.T, c *registry.Client, ref string) digest.Digest {
	t.Helper()
	s, err := c.Open(t.Context(), parseRef(t, ref))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	desc, _, err := s.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return desc.Digest
}

// TestCopyPairs copies the hello image from each kind of place to each, and
// again: digests stay, and the second copy sends nothing.
func TestCopyPairs(t *testing.T) {
	a, b := pushed(t), pushed(t)
	c := client(a, b)
	dir := t.TempDir()
	want := digestOf(t, c, hello)
	places := []string{a.Host + "/hello:1", "oci:" + dir + "/layout:1", "oci-archive:" + dir + "/hello.tar:1"}
	from := map[string]string{places[0]: a.Host + "/from:1", places[1]: "oci:" + dir + "/from:1", places[2]: "oci-archive:" + dir + "/from.tar:1"}
	for _, place := range places {
		if _, err := Copy(t.Context(), c, parseRef(t, hello), parseRef(t, from[place]), Options{}); err != nil {
			t.Fatal(err)
		}
	}
	for m, source := range places {
		for n, place := range places {
			to := strings.NewReplacer(a.Host, b.Host, "/hello", fmt.Sprint("/to", m), "/layout", fmt.Sprint("/layout", m)).Replace(place)
			t.Run(string(parseRef(t, source).Transport())+" to "+string(parseRef(t, to).Transport()), func(t *testing.T) {
				b.Requests()
				done, err := Copy(t.Context(), c, parseRef(t, from[source]), parseRef(t, to), Options{})
				if err != nil {
					t.Fatal(err)
				}
				if got := digestOf(t, c, to); got != want || done.Root.Digest != want {
					t.Errorf("got %s, %s, want %s", got, done.Root.Digest, want)
				}
				if done.Sent != 12 || done.Manifests != 6 {
					t.Errorf("got %+v", done)
				}
				b.Requests()
				b.Received()
				again, err := Copy(t.Context(), c, parseRef(t, from[source]), parseRef(t, to), Options{})
				if err != nil || again.Sent != 0 || again.Manifests != 0 || again.Bytes != 0 || again.Root.Digest != want {
					t.Errorf("again: %+v, %v", again, err)
				}
				if asked := b.Requests(); n == 0 && len(asked) != 1 || b.Received() != 0 {
					t.Errorf("again: sent %q", asked)
				}
			})
		}
	}
}

var errAny = errors.New("any error")

func TestCopyPlatforms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		from      string
		platforms []string
		manifests int
		index     []string // of the copy; nil is a single image
		err       error
	}{
		{name: "all", manifests: 6, index: []string{"linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8", "linux/amd64"}},
		{name: "one", platforms: []string{"linux/arm/v7"}, manifests: 1},
		{name: "two, in the index's order", platforms: []string{"linux/amd64", "linux/arm/v6"}, manifests: 3, index: []string{"linux/arm/v6", "linux/amd64"}},
		{name: "the same twice", platforms: []string{"linux/amd64", "linux/amd64"}, manifests: 2, index: []string{"linux/amd64"}},
		{name: "none", platforms: []string{"linux/s390x"}, err: platform.ErrNoMatch},
		{name: "nonsense", platforms: []string{"/"}, err: errAny},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pushed(t)
			client := client(p)
			to := parseRef(t, p.Host+"/x:1")
			done, err := Copy(t.Context(), client, parseRef(t, hello), to, Options{Platforms: c.platforms})
			if c.err != nil {
				if err == nil || c.err != errAny && !errors.Is(err, c.err) || len(p.Requests()) != 0 {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || done.Manifests != c.manifests {
				t.Fatalf("got %+v, %v", done, err)
			}
			if got := platforms(t, client, to.String()); !slices.Equal(got, c.index) {
				t.Errorf("got %q, want %q", got, c.index)
			}
			// What was made of one index is what is made of it again.
			again, err := Copy(t.Context(), client, parseRef(t, hello), to, Options{Platforms: c.platforms})
			if err != nil || again.Root.Digest != done.Root.Digest || again.Manifests+again.Sent != 0 {
				t.Errorf("again: %+v, %v", again, err)
			}
			// A single image is held to what its config says.
			if c.index == nil {
				single := parseRef(t, p.Host+"/x@"+done.Root.Digest.String())
				_, err := Copy(t.Context(), client, single, parseRef(t, p.Host+"/y:1"), Options{Platforms: []string{"linux/s390x"}})
				if !errors.Is(err, platform.ErrNoMatch) {
					t.Errorf("a single image for another platform: %v", err)
				}
			}
		})
	}
}

// platforms are those of an index; nil for a single image.
func platforms(t *testing.T, c *registry.Client, ref string) []string {
	t.Helper()
	s, err := c.Open(t.Context(), parseRef(t, ref))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var index struct{ Manifests []ocispec.Descriptor }
	_, raw, err := s.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	decode(t, raw, &index)
	var all []string
	for _, m := range index.Manifests {
		all = append(all, platform.Format(*m.Platform))
	}
	return all
}

func TestCopyDryRun(t *testing.T) {
	t.Parallel()
	p := pushed(t)
	dir := t.TempDir()
	c := client(p)
	for _, to := range []string{p.Host + "/x:1", "oci:" + dir + "/none:1", "oci-archive:" + dir + "/none.tar"} {
		done, err := Copy(t.Context(), c, parseRef(t, hello), parseRef(t, to), Options{DryRun: true})
		if err != nil || done.Sent != 12 || done.Manifests != 6 || done.Bytes == 0 {
			t.Errorf("%s: %+v, %v", to, done, err)
		}
	}
	for _, r := range p.Requests() {
		if !strings.HasPrefix(r, "HEAD ") {
			t.Errorf("sent %s", r)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestCopyMounts(t *testing.T) {
	t.Parallel()
	p := pushed(t)
	p.Mounts = true
	c := client(p)
	if _, err := Copy(t.Context(), c, parseRef(t, hello), parseRef(t, p.Host+"/a:1"), Options{}); err != nil {
		t.Fatal(err)
	}
	done, err := Copy(t.Context(), c, parseRef(t, p.Host+"/a:1"), parseRef(t, p.Host+"/b:1"), Options{})
	if err != nil || done.Mounted != 12 || done.Sent != 0 {
		t.Errorf("got %+v, %v", done, err)
	}
}

// TestCopyLeavesNothingHalf breaks one blob of a source: no name appears.
func TestCopyLeavesNothingHalf(t *testing.T) {
	dir := t.TempDir()
	l := imagetest.Hello(filepath.Join(dir, "broken"))
	var victim string
	blobs, err := filepath.Glob(filepath.Join(l.Dir, "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range blobs {
		if raw, err := os.ReadFile(name); err == nil && raw[0] == 0x1f {
			raw[len(raw)/2] ^= 1
			victim = name
			if err := os.WriteFile(name, raw, 0o644); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	p := pushed(t)
	c := client(p)
	broken := digest.NewDigestFromEncoded(digest.SHA256, filepath.Base(victim))
	for _, to := range []string{p.Host + "/x:1", "oci:" + dir + "/out:1", "oci-archive:" + dir + "/out.tar"} {
		_, err := Copy(t.Context(), c, parseRef(t, "oci:"+l.Dir+":latest"), parseRef(t, to), Options{})
		if !errors.Is(err, errkind.Mismatch) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", to, err)
		}
		if s, err := c.Open(t.Context(), parseRef(t, to)); err == nil {
			if _, _, err := s.Root(t.Context()); err == nil {
				t.Errorf("%s is there", to)
			}
			s.Close()
		}
	}
	if p.Blob("x", broken) != nil {
		t.Error("the registry has the damaged blob")
	}
	if left, _ := filepath.Glob(dir + "/.out*"); len(left) != 0 {
		t.Errorf("left %q", left)
	}
}

func TestCopyRefusals(t *testing.T) {
	t.Parallel()
	p := pushed(t)
	dir := t.TempDir()
	c := client(p)
	zeros := "sha256:" + strings.Repeat("0", 64)
	for _, tt := range []struct {
		name, from, to string
		kind           errkind.Kind
		message        string
	}{
		{"another digest", hello, p.Host + "/x@" + zeros, errkind.Usage, "not " + zeros},
		{"several to a Docker archive", hello, "docker-archive:" + dir + "/x.tar", errkind.Usage, "a Docker archive has one image"},
		{"standard output", hello, "oci-archive:-", errkind.Usage, "names no file"},
		{"no source", p.Host + "/nosuch:1", p.Host + "/x:1", errkind.NotFound, "nosuch"},
		{"a directory of something else", hello, "oci:" + dir, errkind.Failure, "not empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Copy(context.Background(), c, parseRef(t, tt.from), parseRef(t, tt.to), Options{})
			if err == nil || errkind.Of(err) != tt.kind || !strings.Contains(err.Error(), tt.message) {
				t.Errorf("got %v (%v)", err, errkind.Of(err))
			}
		})
	}
	one := Options{Platforms: []string{"linux/arm/v7"}}
	if _, err := Copy(t.Context(), c, parseRef(t, hello), parseRef(t, "docker-archive:"+dir+"/one.tar:hello:1"), one); err != nil {
		t.Error(err)
	}
	s, err := c.Open(t.Context(), parseRef(t, "docker-archive:"+dir+"/one.tar:hello:1"))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}
