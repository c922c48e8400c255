// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/inspect"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

func TestImageWithoutLayersIsAnEmptyRoot(t *testing.T) {
	s := newCached(t, Options{KeepBlobs: true})
	image := s.layout.Manifest(ocispec.Image{Platform: linuxARMv7, RootFS: ocispec.RootFS{Type: "layers"}})
	for name, ref := range map[string]string{
		"a registry": serveBy(s.inspected, image),
		"a layout":   "oci:" + s.layout.Dir + "@" + image.Digest.String(),
	} {
		pulled, err := s.client.Pull(t.Context(), s.store, ref)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(pulled.Warnings) != 0 || len(pulled.Image.Layers) != 1 {
			t.Errorf("%s: warnings %q, layers %v", name, pulled.Warnings, pulled.Image.Layers)
		}
		root, err := s.client.RootFS(t.Context(), ref, RootFSOptions{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := root.Close(); err != nil {
			t.Error(err)
		}
		if plan, err := s.client.Plan(t.Context(), s.store, ref); err != nil || plan.Fetch != 0 {
			t.Errorf("%s: plan %+v, %v", name, plan, err)
		}
	}
}

// A layer may stand in its own descriptor, and nowhere else.
func TestLayerInItsDescriptor(t *testing.T) {
	s := newCached(t, Options{})
	tarball := imagetest.Tar(imagetest.File("a", "x"))
	layer := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(tarball), Size: int64(len(tarball)), Data: tarball}
	image := s.layout.Manifest(ocispec.Image{Platform: linuxARMv7, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer.Digest}}}, layer)
	for name, ref := range map[string]string{
		"a registry": serveBy(s.inspected, image),
		"a layout":   "oci:" + s.layout.Dir + "@" + image.Digest.String(),
	} {
		if plan, err := s.client.Plan(t.Context(), s.store, ref); err != nil || plan.Fetch != 0 {
			t.Errorf("%s: plan %+v, %v", name, plan, err)
		}
		if _, err := s.client.Pull(t.Context(), s.store, ref); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if has, err := s.store.HasLayer(layer.Digest); err != nil || !has {
		t.Errorf("the store has it: %v, %v", has, err)
	}
}

// TestPullIsAdmitted: what is refused is refused before a layer of it is there.
func TestPullIsAdmitted(t *testing.T) {
	refused := errors.New("refused")
	var root, asked digest.Digest
	s := newCached(t, Options{Admit: func(_ context.Context, r Resolution, layers []digest.Digest) error {
		if root = r.Root.Digest; len(layers) > 0 {
			asked = layers[0]
		}
		return refused
	}})
	ref := "oci:" + s.layout.Dir + "@" + s.image.Digest.String()
	if _, err := s.client.Pull(t.Context(), s.store, ref); !errors.Is(err, refused) {
		t.Errorf("error %v", err)
	}
	if root != s.image.Digest || asked == "" {
		t.Errorf("asked for the layer %q of %q", asked, root)
	}
	if has, err := s.store.HasLayer(asked); err != nil || has {
		t.Errorf("the store has its layer: %v, %v", has, err)
	}
}

func TestPullByAnotherDigest(t *testing.T) {
	s := newCached(t, Options{})
	raw := readFile(t, s.layout.Path(s.image.Digest))
	s.AddAs(digest.SHA512.FromBytes(raw), s.image.MediaType, raw)
	ref := s.Host + "/image@" + digest.SHA512.FromBytes(raw).String()
	pulled, err := s.client.Pull(t.Context(), s.store, ref)
	if err != nil || pulled.Image.Manifest != s.image.Digest {
		t.Fatalf("got %s, %v, want %s", pulled.Image.Manifest, err, s.image.Digest)
	}
	if found, err := s.store.Lookup(ref, platform.Wanted{}); err != nil || found.Manifest != s.image.Digest {
		t.Errorf("looked up %s, %v", found.Manifest, err)
	}
	// A layer's name in the store is its diffID.
	blob := imagetest.Tar(imagetest.File("a", "x"))
	other := s.layout.Manifest(ocispec.Image{Platform: linuxARMv7, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.SHA512.FromBytes(blob)}}},
		s.layout.Blob(ocispec.MediaTypeImageLayer, blob))
	ref = serveBy(s.inspected, other)
	s.Requests()
	_, err = s.client.Pull(t.Context(), s.store, ref)
	asked := s.Requests()
	if !errors.Is(err, manifest.ErrUnsupported) || slices.ContainsFunc(asked, func(r string) bool { return strings.HasSuffix(r, digest.FromBytes(blob).String()) }) {
		t.Errorf("got %v after %q, want a refusal before the layer", err, asked)
	}
}

func TestEntryWithoutAPlatformIsLookedUp(t *testing.T) {
	bare := func(d ocispec.Descriptor) ocispec.Descriptor {
		d.Platform = nil
		return d
	}
	tests := map[string]struct {
		entries func(s *inspected) []ocispec.Descriptor
		chosen  int // -1 for none
		most    int // requests
	}{
		"beside another platform": {func(s *inspected) []ocispec.Descriptor {
			return []ocispec.Descriptor{s.image(linuxAMD64), bare(s.image(linuxARMv7))}
		}, 1, 3},
		"two of them": {func(s *inspected) []ocispec.Descriptor {
			return []ocispec.Descriptor{bare(s.image(linuxAMD64)), bare(s.image(linuxARMv7))}
		}, 1, 5},
		"one for another machine": {func(s *inspected) []ocispec.Descriptor {
			return []ocispec.Descriptor{s.image(linuxAMD64), bare(s.image(linuxARM64))}
		}, -1, 3},
		"one that is there in name only": {func(s *inspected) []ocispec.Descriptor {
			return []ocispec.Descriptor{s.image(linuxAMD64), {MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("none"), Size: 1}}
		}, -1, 2},
		"not needed": {func(s *inspected) []ocispec.Descriptor {
			return []ocispec.Descriptor{bare(s.image(linuxAMD64)), s.image(linuxARMv7)}
		}, 1, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newInspected(t, Options{})
			entries := test.entries(s)
			ref := s.serve(s.layout.Index(entries...))
			s.Requests()
			r, err := s.client.Resolve(t.Context(), ref)
			if asked := s.Requests(); len(asked) > test.most {
				t.Errorf("asked %q, want %d at the most", asked, test.most)
			}
			found, ierr := s.client.Inspect(t.Context(), ref, inspect.Options{})
			if ierr != nil {
				t.Fatal(ierr)
			}
			if test.chosen < 0 {
				if !errors.Is(err, errkind.NotFound) || found.Chosen != "" {
					t.Errorf("got %v, inspected %q, want no match", err, found.Chosen)
				}
				return
			}
			want := entries[test.chosen].Digest
			if err != nil || r.Manifest.Digest != want || found.Chosen != want {
				t.Errorf("got %s, %v, inspected %s, want %s", r.Manifest.Digest, err, found.Chosen, want)
			}
			if says := strings.Contains(fmt.Sprint(r.Choice.Warnings), "its config says linux/arm/v7"); says != (test.most > 1) {
				t.Errorf("warnings %q", r.Choice.Warnings)
			}
		})
	}
}

func TestForeignLayerIsNamedSo(t *testing.T) {
	s := newCached(t, Options{})
	for _, mediaType := range []string{manifest.DockerForeignGzip, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"} {
		layer := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(mediaType), Size: 7}
		image := s.layout.Manifest(ocispec.Image{Platform: linuxARMv7, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromString("x")}}}, layer)
		_, err := s.client.Pull(t.Context(), s.store, serveBy(s.inspected, image))
		if !errors.Is(err, registry.ErrNotFound) || !strings.Contains(fmt.Sprint(err), "foreign") {
			t.Errorf("%s: got %v", mediaType, err)
		}
	}
}
