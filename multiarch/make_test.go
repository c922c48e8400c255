// SPDX-License-Identifier: Apache-2.0

package multiarch

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/transfer"
)

func parse(t *testing.T, text string) registry.Reference {
	t.Helper()
	ref, err := registry.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// images are layouts: amd64, armv6, armv7, arm64 each of one image, "two" an
// index of two, "built" one image with an attestation as BuildKit makes them.
func images(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	add := func(name string, fill func(*imagetest.Layout) ocispec.Descriptor) {
		l := imagetest.NewLayout(filepath.Join(dir, name))
		l.Tag(fill(l), "1")
	}
	layer := func(name string) []byte { return imagetest.Tar(imagetest.File("name", name)) }
	for name, p := range map[string]ocispec.Platform{
		"amd64": {OS: "linux", Architecture: "amd64"}, "armv6": {OS: "linux", Architecture: "arm", Variant: "v6"},
		"armv7": {OS: "linux", Architecture: "arm", Variant: "v7"}, "arm64": {OS: "linux", Architecture: "arm64", Variant: "v8"},
		"amd64too": {OS: "linux", Architecture: "amd64"}, "windows": {OS: "windows", Architecture: "amd64", OSVersion: "10.0.1"},
	} {
		add(name, func(l *imagetest.Layout) ocispec.Descriptor { return bare(l.Image(p, layer(name))) })
	}
	add("two", func(l *imagetest.Layout) ocispec.Descriptor {
		return l.Index(l.Image(ocispec.Platform{OS: "linux", Architecture: "s390x"}, layer("s")), l.Image(ocispec.Platform{OS: "linux", Architecture: "riscv64"}, layer("r")))
	})
	add("built", func(l *imagetest.Layout) ocispec.Descriptor {
		image := l.Image(ocispec.Platform{OS: "linux", Architecture: "ppc64le"}, layer("p"))
		att := l.Manifest(ocispec.Image{Platform: ocispec.Platform{OS: "unknown", Architecture: "unknown"}}, l.Blob("application/vnd.in-toto+json", []byte("{}")))
		att.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
		att.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image.Digest.String()}
		return l.Index(image, att)
	})
	return dir
}

func bare(d ocispec.Descriptor) ocispec.Descriptor { d.Platform = nil; return d }

func TestMake(t *testing.T) {
	dir := images(t)
	client := registry.New(registry.Options{})
	ref := func(name string) registry.Reference { return parse(t, "oci:"+filepath.Join(dir, name)+":1") }
	members := func(names ...string) (all []Member) {
		for _, name := range names {
			all = append(all, Member{Ref: ref(name)})
		}
		return all
	}
	said := func(name string, p ocispec.Platform) []Member { return []Member{{Ref: ref(name), Platform: p}} }
	for _, c := range []struct {
		name    string
		members []Member
		options Options
		want    string
		warns   string
		kind    errkind.Kind
		message string
	}{
		{name: "in the order of the members", members: members("armv7", "amd64", "armv6", "arm64"), want: "linux/arm/v7 linux/amd64 linux/arm/v6 linux/arm64/v8"},
		{name: "taken apart", members: members("amd64", "two"), want: "linux/amd64 linux/s390x linux/riscv64"},
		{name: "kept nested", members: members("amd64", "two"), options: Options{KeepNested: true}, want: "linux/amd64 index"},
		{name: "attestations last", members: members("built", "amd64"), want: "linux/ppc64le linux/amd64 attestation"},
		{name: "the same image twice", members: members("amd64", "amd64"), want: "linux/amd64"},
		{name: "one platform twice", members: members("amd64", "amd64too"), kind: errkind.Usage, message: "two images for one platform: linux/amd64"},
		{name: "another version", members: members("amd64", "windows"), want: "linux/amd64 windows(10.0.1)/amd64"},
		{name: "overruled", members: said("armv7", ocispec.Platform{Variant: "v6"}), want: "linux/arm/v6", warns: `the index says "v6"`},
		{name: "overruled, the variant goes", members: said("armv7", ocispec.Platform{Architecture: "riscv64"}), want: "linux/riscv64", warns: "riscv64"},
		{name: "said and the same", members: said("armv7", ocispec.Platform{OS: "linux", Architecture: "arm"}), want: "linux/arm/v7"},
		{name: "said of several", members: said("two", ocispec.Platform{OS: "linux"}), kind: errkind.Usage, message: "an index of 2 images"},
		{name: "said of one with an attestation", members: said("built", ocispec.Platform{OSVersion: "1"}), want: "linux(1)/ppc64le attestation", warns: ""},
		{name: "not there", members: members("amd64", "nosuch"), kind: errkind.NotFound, message: "nosuch"},
		{name: "left out", members: members("amd64", "nosuch"), options: Options{IgnoreMissing: true}, want: "linux/amd64", warns: "left out"},
		{name: "nothing there", members: members("nosuch"), options: Options{IgnoreMissing: true}, kind: errkind.NotFound, message: "none of the images"},
		{name: "nothing", kind: errkind.Usage, message: "an index of nothing"},
		{name: "a Docker list of OCI images", members: members("amd64"), options: Options{Docker: true}, want: "linux/amd64", warns: "1 of 1 entries"},
		{name: "a Docker list with annotations", members: members("amd64"), options: Options{Docker: true, Annotations: map[string]string{"a": "b"}}, kind: errkind.Usage, message: "has no annotations"},
		{name: "removed with its attestation", members: members("amd64"), options: Options{Base: ref("built"), Remove: []string{"linux/ppc64le"}}, want: "linux/amd64"},
		{name: "added", members: members("amd64"), options: Options{Base: ref("two")}, want: "linux/s390x linux/riscv64 linux/amd64"},
		{name: "remove what is not there", options: Options{Base: ref("two"), Remove: []string{"linux/arm"}}, kind: errkind.NotFound, message: "no entry is linux/arm"},
	} {
		t.Run(c.name, func(t *testing.T) {
			made, err := Make(t.Context(), client, c.members, c.options)
			if c.kind != 0 {
				if errkind.Of(err) != c.kind || !strings.Contains(err.Error(), c.message) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(described(made.Entries), " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if got := strings.Join(made.Warnings, "\n"); (c.warns == "") != (got == "") || !strings.Contains(got, c.warns) {
				t.Errorf("warned %q, want %q", got, c.warns)
			}
			again, err := Make(t.Context(), client, c.members, c.options)
			if err != nil || !bytes.Equal(again.Raw, made.Raw) {
				t.Errorf("again: %v, other bytes", err)
			}
			if _, err := manifest.ParseIndex(made.Raw, made.Descriptor.MediaType); err != nil {
				t.Error(err)
			}
			to := parse(t, "oci:"+t.TempDir()+":1")
			done, err := transfer.Send(t.Context(), client, made.Documents, to, []string{"2"}, transfer.Options{})
			if err != nil || done.Root.Digest != made.Descriptor.Digest {
				t.Fatalf("sent %+v, %v", done, err)
			}
			all, err := transfer.Copy(t.Context(), client, parse(t, "oci:"+to.Path()+":2"), parse(t, "oci-archive:"+t.TempDir()+"/x.tar"), transfer.Options{})
			if err != nil || all.Root.Digest != made.Descriptor.Digest {
				t.Errorf("it is not whole: %+v, %v", all, err)
			}
		})
	}
}

func described(entries []ocispec.Descriptor) (all []string) {
	for _, e := range entries {
		_, attests := manifest.IsAttestation(e)
		switch {
		case attests:
			all = append(all, "attestation")
		case e.Platform == nil:
			all = append(all, "index")
		default:
			all = append(all, platform.Format(*e.Platform))
		}
	}
	return all
}

// TestMakeFromPushed: an index of images in a registry is in another repository
// with all that it lists.
func TestMakeFromPushed(t *testing.T) {
	dir := images(t)
	p := registrytest.NewPushed()
	t.Cleanup(p.Close)
	p.Mounts = true
	client := registry.New(registry.Options{PlainHTTP: []string{p.Host}, AuthFile: os.DevNull, HostsDir: "/nonexistent", K3sRegistries: "/nonexistent", RegistriesConf: "/nonexistent"})
	var members []Member
	for _, name := range []string{"amd64", "armv7"} {
		to := parse(t, p.Host+"/parts:"+name)
		if _, err := transfer.Copy(t.Context(), client, parse(t, "oci:"+filepath.Join(dir, name)+":1"), to, transfer.Options{}); err != nil {
			t.Fatal(err)
		}
		members = append(members, Member{Ref: to})
	}
	made, err := Make(t.Context(), client, members, Options{})
	if err != nil {
		t.Fatal(err)
	}
	done, err := transfer.Send(t.Context(), client, made.Documents, parse(t, p.Host+"/app:1"), []string{"latest"}, transfer.Options{})
	if err != nil || done.Sent != 0 || done.Mounted != 4 || done.Manifests != 4 {
		t.Errorf("got %+v, %v", done, err)
	}
	if a, b := p.Tagged("app", "1"), p.Tagged("app", "latest"); a != made.Descriptor.Digest || a != b {
		t.Errorf("got %s and %s", a, b)
	}
	if !slices.Contains(p.Requests(), "PUT app/manifests/latest") {
		t.Error("the tags do not come last")
	}
	if _, err := Make(t.Context(), client, []Member{{Ref: parse(t, p.Host+"/nosuch:1")}}, Options{}); !errors.Is(err, registry.ErrNotFound) {
		t.Error(err)
	}
}
