// SPDX-License-Identifier: Apache-2.0

package referrers_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/referrers"
	"github.com/layerctl/layerctl/registry"
)

// served is a registry with an image and all that registrytest.Attach makes of it.
func served(t *testing.T) (*registrytest.Registry, ocispec.Descriptor, []ocispec.Descriptor) {
	t.Helper()
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	layout := imagetest.NewLayout(t.TempDir())
	image := layout.Image(ocispec.Platform{OS: "linux", Architecture: "arm64"}, imagetest.Tar(imagetest.File("a", "a")))
	layout.Tag(image, "image")
	r.AddLayout(layout.Dir, "image")
	index := registrytest.Attach(r, image)
	source := open(t, r.Host+"/image@"+index.Digest.String())
	_, raw, err := source.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := manifest.ParseIndex(raw, "")
	if err != nil {
		t.Fatal(err)
	}
	r.Requests()
	return r, image, parsed.Manifests
}

func open(t *testing.T, name string) *registry.Source {
	t.Helper()
	ref, err := registry.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	client := registry.New(registry.Options{PlainHTTP: []string{ref.Host()}, Retries: -1})
	source, err := client.Open(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { source.Close() })
	return source
}

// lines are what was found, as text.
func lines(found []referrers.Attachment, indent string) []string {
	var all []string
	for _, a := range found {
		line := fmt.Sprintf("%s%s|%s|%s|%s|%s", indent, a.Kind, a.Form, a.PredicateType, a.Place, a.Claimed)
		if a.Err != nil {
			line += "|" + errkind.Of(a.Err).Error()
		}
		all = append(all, line)
		all = append(all, lines(a.Below, indent+"  ")...)
	}
	return all
}

// TestAllFourPlaces finds what is in each of the four places, one level deep.
func TestAllFourPlaces(t *testing.T) {
	r, image, entries := served(t)
	r.ListReferrers()
	found, err := referrers.New(open(t, r.Host+"/image:image"), referrers.Options{Below: true}).Of(t.Context(), image.Digest, entries)
	if err != nil {
		t.Fatal(err)
	}
	got := lines(found, "")
	slices.Sort(got[2:6])
	want := []string{
		"sbom|in-toto statement|https://spdx.dev/Document|index|",
		"provenance|in-toto statement|https://slsa.dev/provenance/v1|index|",
		"  signature|cosign||tag|",
		"sbom|||referrers|",
		"signature|notation||referrers|certificate c0ffee",
		"signature|sigstore bundle|https://sigstore.dev/cosign/sign/v1|referrers|",
		"signature|cosign||tag|",
		"sbom|||tag|",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, a := range found {
		if a.Size() != a.Blob.Size || a.Document == nil || a.Type == "" {
			t.Errorf("%s: size %d, document %v, type %q", a.Kind, a.Size(), a.Document != nil, a.Type)
		}
		if a.Form == "notation" && a.Created != "2026-01-02T03:04:05Z" {
			t.Errorf("created %q", a.Created)
		}
	}
}

// TestRequests counts what a digest costs: one request and three HEADs where
// nothing belongs to it, once one more where the registry has no list, and one
// for each manifest that is found and may hold what is wanted.
func TestRequests(t *testing.T) {
	stranger := digest.FromString("stranger")
	tests := map[string]struct {
		listing bool
		options referrers.Options
		of      func(image ocispec.Descriptor) digest.Digest
		times   int
		want    []string // method and kind of each
	}{
		"nothing there": {listing: true, times: 1, want: []string{"GET referrers", "HEAD manifests", "HEAD manifests", "HEAD manifests"}},
		"nothing there, no list, twice": {times: 2, want: []string{
			"GET referrers", "GET manifests", "HEAD manifests", "HEAD manifests", "HEAD manifests",
			"GET manifests", "HEAD manifests", "HEAD manifests", "HEAD manifests",
		}},
		"signatures of nothing": {
			listing: true, times: 1, options: referrers.Options{Kinds: []referrers.Kind{referrers.Signature}},
			want: []string{"GET referrers", "GET manifests"},
		},
		"signatures alone": {
			listing: true, times: 1, options: referrers.Options{Kinds: []referrers.Kind{referrers.Signature}},
			of:   func(image ocispec.Descriptor) digest.Digest { return image.Digest },
			want: []string{"GET referrers", "GET manifests", "GET manifests", "GET manifests"}, // notation's, the bundle, cosign's
		},
		"briefly": {
			listing: true, times: 1, options: referrers.Options{Brief: true},
			of:   func(image ocispec.Descriptor) digest.Digest { return image.Digest },
			want: []string{"GET referrers", "HEAD manifests", "HEAD manifests", "HEAD manifests"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, image, _ := served(t)
			if test.listing {
				r.ListReferrers()
			}
			of := stranger
			if test.of != nil {
				of = test.of(image)
			}
			finder := referrers.New(open(t, r.Host+"/image:image"), test.options)
			for range test.times {
				if _, err := finder.Of(t.Context(), of, nil); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, request := range r.Requests() {
				kind, _, _ := strings.Cut(request, "/")
				got = append(got, kind)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("requests\n%q, want\n%q", got, test.want)
			}
		})
	}
}

// TestFallbackTag reads the list of a registry without the API from its tag, and
// believes it no more than a registry's.
func TestFallbackTag(t *testing.T) {
	r, image, _ := served(t)
	other := r.Attachment(&ocispec.Descriptor{MediaType: image.MediaType, Digest: digest.FromString("other"), Size: 5}, "application/spdx+json", nil, nil)
	right := r.Attachment(&image, "application/vnd.cyclonedx+json", nil, nil)
	missing := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("missing"), Size: 7}
	r.Add(ocispec.MediaTypeImageIndex, imagetest.JSON(map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": []any{other, right, missing},
	}), registrytest.CosignTag(image, ""))
	found, err := referrers.New(open(t, r.Host+"/image:image"), referrers.Options{}).Of(t.Context(), image.Digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"artifact|||fallback tag||malformed image", "sbom|||fallback tag|", "artifact|||fallback tag||not found", "signature|cosign||tag|", "sbom|||tag|"}
	if got := lines(found, ""); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestBounds stops at each of the limits with what was found so far.
func TestBounds(t *testing.T) {
	for name, o := range map[string]referrers.Options{
		"count":    {Max: 2},
		"requests": {Requests: 3},
		"bytes":    {Bytes: 1500},
	} {
		t.Run(name, func(t *testing.T) {
			r, image, entries := served(t)
			r.ListReferrers()
			found, err := referrers.New(open(t, r.Host+"/image:image"), o).Of(t.Context(), image.Digest, entries)
			if !errors.Is(err, errkind.Malformed) || len(found) == 0 || len(found) > 3 {
				t.Errorf("found %d, error %v", len(found), err)
			}
		})
	}
}

// TestOutage tells what could not be asked, and what was found all the same.
func TestOutage(t *testing.T) {
	r, image, entries := served(t)
	r.ListReferrers()
	r.Fail("referrers", http.StatusInternalServerError)
	found, err := referrers.New(open(t, r.Host+"/image:image"), referrers.Options{}).Of(t.Context(), image.Digest, entries)
	if !errors.Is(err, errkind.Network) || len(found) != 4 {
		t.Errorf("found %d, error %v", len(found), err)
	}
}
