// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/inspect"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

var (
	linuxAMD64 = ocispec.Platform{OS: "linux", Architecture: "amd64"}
	linuxARMv7 = ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	linuxARM64 = ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
)

// inspected is a registry and a client that chooses for linux/arm/v7 in it.
type inspected struct {
	*registrytest.Registry
	layout *imagetest.Layout
	client *Client
}

func newInspected(t *testing.T, o Options) *inspected {
	t.Helper()
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	o.Registry = registry.Options{PlainHTTP: []string{r.Host}, Retries: -1}
	if o.Platform == "" {
		o.Platform = "linux/arm/v7"
	}
	return &inspected{r, imagetest.NewLayout(t.TempDir()), New(o)}
}

// serve has all that the layout holds served, and desc as the tag latest.
func (s *inspected) serve(desc ocispec.Descriptor) string {
	s.layout.Tag(desc, "latest")
	s.AddLayout(s.layout.Dir, "latest")
	return s.Host + "/image"
}

func (s *inspected) image(p ocispec.Platform) ocispec.Descriptor {
	return s.layout.Image(p, imagetest.Tar(imagetest.File("arch", p.Architecture+p.Variant)), imagetest.Tar(imagetest.File("all", "same")))
}

func (s *inspected) inspect(t *testing.T, ref string, o inspect.Options) *inspect.Result {
	t.Helper()
	found, err := s.client.Inspect(t.Context(), ref, o)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestInspectCountsRequests(t *testing.T) {
	s := newInspected(t, Options{})
	index := s.layout.Index(s.image(linuxAMD64), s.image(linuxARM64), s.image(linuxARMv7))
	ref := s.serve(index)
	single := s.Host + "/image@" + s.image(linuxARMv7).Digest.String()
	tests := []struct {
		name string
		ref  string
		o    inspect.Options
		want int
	}{
		{"index, entries", ref, inspect.Options{}, 1},
		{"index, platforms", ref, inspect.Options{Detail: inspect.Platforms}, 1},
		{"index, manifests", ref, inspect.Options{Detail: inspect.Manifests}, 1 + 3},
		{"index, configs", ref, inspect.Options{Detail: inspect.Configs}, 1 + 3 + 3},
		{"index, entries and the chosen image", ref, inspect.Options{Chosen: true}, 1 + 2},
		{"index, configs and the chosen image", ref, inspect.Options{Detail: inspect.Configs, Chosen: true}, 1 + 3 + 3},
		{"image, entries", single, inspect.Options{}, 1},
		{"image, platforms", single, inspect.Options{Detail: inspect.Platforms}, 2},
		{"image, configs", single, inspect.Options{Detail: inspect.Configs}, 2},
		{"image, entries and the chosen image", single, inspect.Options{Chosen: true}, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.Requests()
			s.inspect(t, test.ref, test.o)
			if got := s.Requests(); len(got) != test.want {
				t.Errorf("%d requests, want %d: %q", len(got), test.want, got)
			}
		})
	}
	t.Run("a digest is a HEAD", func(t *testing.T) {
		desc, err := s.client.Describe(t.Context(), ref)
		if err != nil || desc.Digest != index.Digest {
			t.Errorf("got %s, %v, want %s", desc.Digest, err, index.Digest)
		}
		if got, want := s.Requests(), []string{"HEAD manifests/latest"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// Where an index does not say what an image runs on, its config does.
func TestInspectImagesWithoutAPlatform(t *testing.T) {
	s := newInspected(t, Options{})
	nameless := s.image(linuxARMv7)
	nameless.Platform = nil
	ref := s.serve(s.layout.Index(s.image(linuxAMD64), nameless))
	for detail, requests := range map[inspect.Detail]int{
		inspect.Entries: 1 + 2, inspect.Platforms: 1 + 2, inspect.Manifests: 1 + 2 + 1, inspect.Configs: 1 + 2 + 2,
	} {
		s.Requests()
		found := s.inspect(t, ref, inspect.Options{Detail: detail})
		if got := s.Requests(); len(got) != requests {
			t.Errorf("detail %d: %d requests, want %d: %q", detail, len(got), requests, got)
		}
		p := found.Manifests[1].Platform
		if said := p != nil && p.String() == "linux/arm/v7"; said != (detail > inspect.Entries) {
			t.Errorf("detail %d: got platform %v", detail, p)
		}
	}
}

// Two entries may name one manifest, and two manifests one config.
func TestInspectReadsNothingTwice(t *testing.T) {
	s := newInspected(t, Options{})
	image := s.image(linuxARMv7)
	other := image
	other.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}
	ref := s.serve(s.layout.Index(image, other, image))
	found := s.inspect(t, ref, inspect.Options{Detail: inspect.Configs})
	if got := s.Requests(); len(got) != 3 {
		t.Errorf("%d requests, want 3: %q", len(got), got)
	}
	for i, m := range found.Manifests {
		if len(m.Layers) != 2 || m.Layers[1].DiffID == "" || m.Config.Document == nil {
			t.Errorf("entry %d is not complete: %+v", i, m)
		}
	}
}

func TestInspectOneShape(t *testing.T) {
	s := newInspected(t, Options{})
	arm := s.image(linuxARMv7)
	ref := s.serve(s.layout.Index(s.image(linuxAMD64), arm))
	index := s.inspect(t, ref, inspect.Options{Detail: inspect.Configs})
	single := s.inspect(t, s.Host+"/image@"+arm.Digest.String(), inspect.Options{Detail: inspect.Configs})
	if index.Kind != "index" || single.Kind != "image" || single.Digest != arm.Digest {
		t.Errorf("kinds %s and %s, digest %s", index.Kind, single.Kind, single.Digest)
	}
	if index.Chosen != arm.Digest || single.Chosen != arm.Digest {
		t.Errorf("chosen %s and %s, want %s", index.Chosen, single.Chosen, arm.Digest)
	}
	from, alone := index.Manifests[1], single.Manifests[0]
	from.Descriptor = nil
	got, want := imagetest.JSON(alone), imagetest.JSON(from)
	if string(got) != string(want) {
		t.Errorf("alone\n%s\nin an index\n%s", got, want)
	}
}

// What is not known here must not get lost.
func TestInspectKeepsUnknownFields(t *testing.T) {
	s := newInspected(t, Options{})
	image := s.image(linuxARMv7)
	raw := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[{"mediaType":"` + image.MediaType +
		`","digest":"` + image.Digest.String() + `","size":` + string(imagetest.JSON(image.Size)) +
		`,"urls":["https://example.com"],"x-number":12345678901234567890,"annotations":{"k":"v"},"platform":{"os":"linux","architecture":"arm","variant":"v7","features":["vfp"]}}],"x-top":{"a":[1.50]},"annotations":{"top":"yes"}}`)
	s.AddLayout(func() string { s.layout.Tag(image, "x"); return s.layout.Dir }(), "x")
	s.Add(ocispec.MediaTypeImageIndex, raw, "odd")
	found := s.inspect(t, s.Host+"/image:odd", inspect.Options{})
	if string(found.Document) != string(raw) {
		t.Errorf("the document is not exact: %s", found.Document)
	}
	if found.Annotations["top"] != "yes" || found.Manifests[0].Annotations["k"] != "v" {
		t.Errorf("annotations %v and %v", found.Annotations, found.Manifests[0].Annotations)
	}
	for _, want := range []string{`"x-number":12345678901234567890`, `"features":["vfp"]`, `"urls":["https://example.com"]`} {
		if !strings.Contains(string(found.Manifests[0].Descriptor), want) {
			t.Errorf("the entry has lost %s: %s", want, found.Manifests[0].Descriptor)
		}
	}
	if !strings.Contains(string(imagetest.JSON(found)), `"x-top":{"a":[1.50]}`) {
		t.Error("the JSON has lost x-top")
	}
}

func TestInspectSetsKindsApart(t *testing.T) {
	s := newInspected(t, Options{})
	arm := s.image(linuxARMv7)
	attestation := s.layout.Manifest(ocispec.Image{}, s.layout.Blob("application/vnd.in-toto+json", []byte(`{"_type":"x"}`)))
	attestation.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	attestation.Annotations = map[string]string{
		"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": arm.Digest.String(),
	}
	unmarked := attestation
	unmarked.Annotations = nil
	chart := s.layout.Blob(ocispec.MediaTypeImageManifest, imagetest.JSON(map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": []any{},
		"config": s.layout.Blob("application/vnd.cncf.helm.config.v1+json", []byte(`{"name":"chart"}`)),
	}))
	blob := s.layout.Blob("application/x-thing", []byte("thing"))
	nested := s.layout.Index(s.image(linuxAMD64))
	ref := s.serve(s.layout.Index(arm, attestation, chart, blob, nested, unmarked))

	s.Requests()
	found := s.inspect(t, ref, inspect.Options{Detail: inspect.Manifests})
	var kinds []string
	for _, m := range found.Manifests {
		kinds = append(kinds, m.Kind)
	}
	if want := []string{"image", "attestation", "artifact", "artifact", "index", "attestation"}; !slices.Equal(kinds, want) {
		t.Errorf("kinds %q, want %q", kinds, want)
	}
	if got := found.Manifests[1].AttestationOf; got != arm.Digest.String() {
		t.Errorf("attestation of %q, want %q", got, arm.Digest)
	}
	if got := found.Manifests[2].Artifact; got != "Helm chart" {
		t.Errorf("artifact %q, want a Helm chart", got)
	}
	if n := found.Manifests[4].Manifests; len(n) != 1 || n[0].Verdict == nil || n[0].Layers == nil {
		t.Errorf("nested entries %+v", n)
	}
	if found.Chosen != arm.Digest || len(found.Warnings) != 0 {
		t.Errorf("chosen %s with %q", found.Chosen, found.Warnings)
	}
	// The index, the nested one, and each manifest that may be an image.
	if got := s.Requests(); len(got) != 6 {
		t.Errorf("%d requests, want 6: %q", len(got), got)
	}
}

func TestInspectOfAnArtifact(t *testing.T) {
	s := newInspected(t, Options{})
	config := s.layout.Blob("application/vnd.cncf.helm.config.v1+json", []byte(`{}`))
	ref := s.serve(s.layout.Blob(ocispec.MediaTypeImageManifest, imagetest.JSON(map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "config": config, "layers": []any{},
	})))
	found := s.inspect(t, ref, inspect.Options{Detail: inspect.Configs})
	if found.Kind != "artifact" || found.Manifests[0].Artifact != "Helm chart" || found.Chosen != "" {
		t.Errorf("got %+v", found)
	}
	if !errors.Is(found.Refusal(), manifest.ErrUnsupported) {
		t.Errorf("refusal %v, want that it is no image", found.Refusal())
	}
	if _, err := s.client.Resolve(t.Context(), ref); !errors.Is(err, manifest.ErrUnsupported) {
		t.Errorf("resolve: %v, want that it is no image", err)
	}
}

// An index may list what its registry does not have, as those that were
// copied for some platforms only.
func TestInspectWithoutAChild(t *testing.T) {
	gone := imagetest.NewLayout(t.TempDir()).Image(linuxAMD64, imagetest.Tar(imagetest.File("gone", "")))
	for name, strict := range map[string]bool{"tolerated": false, "strict": true} {
		t.Run(name, func(t *testing.T) {
			s := newInspected(t, Options{Strict: strict})
			ref := s.serve(s.layout.Index(gone, s.image(linuxARMv7)))
			found, err := s.client.Inspect(t.Context(), ref, inspect.Options{Detail: inspect.Configs})
			if strict {
				if !errors.Is(err, registry.ErrNotFound) {
					t.Errorf("got %v, want that it is not found", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if found.Manifests[0].Error == "" || len(found.Warnings) != 1 || found.Manifests[1].Layers[0].DiffID == "" {
				t.Errorf("error %q, warnings %q, layers %v", found.Manifests[0].Error, found.Warnings, found.Manifests[1].Layers)
			}
		})
	}
}

// An index in it that is missing might hold the better image.
func TestInspectWithoutANestedIndex(t *testing.T) {
	s := newInspected(t, Options{})
	gone := imagetest.NewLayout(t.TempDir()).Index()
	ref := s.serve(s.layout.Index(s.image(linuxARMv7), gone))
	found := s.inspect(t, ref, inspect.Options{Detail: inspect.Configs})
	if found.Chosen != "" || !errors.Is(found.Refusal(), registry.ErrNotFound) || found.Manifests[1].Error == "" {
		t.Errorf("chosen %q, refusal %v, error %q", found.Chosen, found.Refusal(), found.Manifests[1].Error)
	}
	if m := found.Manifests[0]; m.Verdict == nil || m.Layers == nil {
		t.Errorf("the image beside it is not described: %+v", m)
	}
	if _, err := s.client.Resolve(t.Context(), ref); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("resolve: %v, want the same", err)
	}
}

// A few kilobytes must not make us ask for millions of manifests.
func TestInspectOfABombOfIndexes(t *testing.T) {
	s := newInspected(t, Options{})
	entries := make([]ocispec.Descriptor, 600)
	for n := range entries {
		entries[n] = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(n)), Size: 1, Platform: &linuxARMv7}
	}
	var indexes []ocispec.Descriptor
	for n := range 20 {
		indexes = append(indexes, s.layout.Index(entries[n:]...))
	}
	ref := s.serve(s.layout.Index(indexes...))
	_, err := s.client.Inspect(t.Context(), ref, inspect.Options{Detail: inspect.Configs})
	if !errors.Is(err, manifest.ErrMalformed) {
		t.Errorf("got %v, want that there are too many", err)
	}
	if got := s.Requests(); len(got) > 3 {
		t.Errorf("%d requests, want 3 at the most", len(got))
	}
}

// Nor to hold them all in memory.
func TestInspectOfABombOfManifests(t *testing.T) {
	s := newInspected(t, Options{})
	var entries []ocispec.Descriptor
	for n := range 17 {
		entries = append(entries, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(n)), Size: 4 << 20, Platform: &linuxARMv7})
	}
	index := s.layout.Index(entries...)
	s.Add(index.MediaType, readBlob(t, s.layout, index.Digest), "latest")
	_, err := s.client.Inspect(t.Context(), s.Host+"/image", inspect.Options{Detail: inspect.Manifests})
	if got := s.Requests(); !errors.Is(err, manifest.ErrMalformed) || len(got) != 1 {
		t.Errorf("got %v after %q, want that it is too much", err, got)
	}
}

// An image without its config can be looked at; what it runs on nobody knows.
func TestInspectWithoutAConfig(t *testing.T) {
	s := newInspected(t, Options{})
	image := s.image(linuxARMv7)
	s.Add(image.MediaType, readBlob(t, s.layout, image.Digest), "latest")
	ref := s.Host + "/image"
	found := s.inspect(t, ref, inspect.Options{Detail: inspect.Configs})
	if m := found.Manifests[0]; m.Error == "" || len(m.Layers) != 2 || m.Platform != nil {
		t.Errorf("got %+v", m)
	}
	for name, o := range map[string]inspect.Options{"platforms": {Detail: inspect.Platforms}, "the chosen image": {Chosen: true}} {
		if _, err := s.client.Inspect(t.Context(), ref, o); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%s: %v, want that the config is not found", name, err)
		}
	}
}

// What is no JSON must not become part of any.
func TestInspectOfBytesThatAreNoDocument(t *testing.T) {
	for name, garbage := range map[string]string{"no JSON": "{]", "no UTF-8": "{\"a\":\"\xff\"}", "something else": "[1]"} {
		t.Run(name, func(t *testing.T) {
			s := newInspected(t, Options{})
			manifest := s.layout.Blob(ocispec.MediaTypeImageManifest, []byte(garbage))
			manifest.Platform = &linuxAMD64
			image := s.layout.Blob(ocispec.MediaTypeImageManifest, imagetest.JSON(map[string]any{
				"schemaVersion": 2, "config": s.layout.Blob(ocispec.MediaTypeImageConfig, []byte(garbage+" ")), "layers": []any{},
			}))
			image.Platform = &linuxARMv7
			s.Add(ocispec.MediaTypeImageManifest, []byte(garbage))
			s.Add(ocispec.MediaTypeImageConfig, []byte(garbage+" "))
			s.Add(ocispec.MediaTypeImageManifest, readBlob(t, s.layout, image.Digest))
			index := s.layout.Index(manifest, image)
			s.Add(index.MediaType, readBlob(t, s.layout, index.Digest), "latest")
			found := s.inspect(t, s.Host+"/image", inspect.Options{Detail: inspect.Configs})
			for _, m := range found.Manifests {
				if m.Error == "" {
					t.Errorf("%s: no error", m.Platform)
				}
			}
			raw, err := json.Marshal(found)
			if err != nil || !utf8.Valid(raw) {
				t.Errorf("not encoded: %v %q", err, raw)
			}
		})
	}
}

func readBlob(t *testing.T, l *imagetest.Layout, d digest.Digest) []byte {
	t.Helper()
	raw, err := os.ReadFile(l.Path(d))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestInspectWithoutAMatch(t *testing.T) {
	s := newInspected(t, Options{Platform: "linux/s390x"})
	ref := s.serve(s.layout.Index(s.image(linuxAMD64), s.image(linuxARMv7)))
	found := s.inspect(t, ref, inspect.Options{})
	if found.Chosen != "" || len(found.Warnings) != 1 || !errors.Is(found.Refusal(), platform.ErrNoMatch) {
		t.Errorf("chosen %q, warnings %q, refusal %v", found.Chosen, found.Warnings, found.Refusal())
	}
	for _, m := range found.Manifests {
		if m.Verdict.Accepted || m.Verdict.Reason == "" {
			t.Errorf("%s: %+v", m.Platform, m.Verdict)
		}
	}
}

// The config has the last word on what an image is for.
func TestInspectCheckComparesConfigs(t *testing.T) {
	for name, strict := range map[string]bool{"warns": false, "strict": true} {
		t.Run(name, func(t *testing.T) {
			s := newInspected(t, Options{Strict: strict})
			image := s.image(linuxAMD64)
			image.Platform = &linuxARMv7
			ref := s.serve(s.layout.Index(image))
			found, err := s.client.Inspect(t.Context(), ref, inspect.Options{Chosen: true})
			if strict {
				if !errors.Is(err, source.ErrPlatformConflict) {
					t.Errorf("got %v, want a conflict", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(found.Warnings, "\n")
			if !strings.Contains(all, "amd64") || !strings.Contains(all, "arm") {
				t.Errorf("the warnings do not have both values: %q", all)
			}
		})
	}
}

// Each source gives what a registry gives for the same image.
func TestInspectEverySource(t *testing.T) {
	s := newInspected(t, Options{})
	ref := s.serve(s.image(linuxARMv7))
	want := s.inspect(t, ref, inspect.Options{Detail: inspect.Configs})
	want.Reference = ""
	archive := filepath.Join(t.TempDir(), "archive.tar")
	writeFile(t, archive, tarOf(t, s.layout.Dir))
	for _, ref := range []string{"oci:" + s.layout.Dir + ":latest", "oci-archive:" + archive} {
		got := s.inspect(t, ref, inspect.Options{Detail: inspect.Configs})
		got.Reference = ""
		if g, w := imagetest.JSON(got), imagetest.JSON(want); string(g) != string(w) {
			t.Errorf("%s\n%s\nregistry\n%s", ref, g, w)
		}
	}
}

// A docker archive has no manifest of its own; the image is the same.
func TestInspectDockerArchive(t *testing.T) {
	layer := imagetest.Tar(imagetest.File("file", "content"))
	config := imagetest.JSON(ocispec.Image{
		Platform: linuxARMv7, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(layer)}},
	})
	archive := filepath.Join(t.TempDir(), "docker.tar")
	writeFile(t, archive, imagetest.Tar(
		imagetest.File("config.json", string(config)), imagetest.File("layer.tar", string(layer)),
		imagetest.File("manifest.json", `[{"Config":"config.json","RepoTags":["a:b"],"Layers":["layer.tar"]}]`)))
	s := newInspected(t, Options{})
	found := s.inspect(t, "docker-archive:"+archive, inspect.Options{Detail: inspect.Configs})
	m := found.Manifests[0]
	if m.Config.Digest != digest.FromBytes(config) || m.Platform.String() != "linux/arm/v7" || found.Chosen != m.Digest {
		t.Errorf("config %s, platform %s, chosen %q", m.Config.Digest, m.Platform, found.Chosen)
	}
	if len(m.Layers) != 1 || m.Layers[0].DiffID != digest.FromBytes(layer) {
		t.Errorf("layers %+v", m.Layers)
	}
}

// tarOf packs a directory's files.
func tarOf(t *testing.T, dir string) []byte {
	t.Helper()
	var entries []imagetest.Entry
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		entries = append(entries, imagetest.File(rel, string(content)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return imagetest.Tar(entries...)
}

func writeFile(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
