// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestTags(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}`)
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	link := func(target, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Link", "<"+target+`>; rel="next"`)
			fmt.Fprint(w, body)
			return true
		}
	}
	for _, c := range []struct {
		name   string
		before func(http.ResponseWriter, *http.Request) bool
		want   []string
		kind   errkind.Kind
	}{
		{name: "three pages", want: []string{"1", "2", "3", "4", "5", "6", "7"}},
		{name: "the same page for ever", before: link("/v2/x/tags/list?n=1000", `{"tags":["a"]}`), want: []string{"a"}},
		{name: "no page", before: link("/v2/x/tags/list", `{"tags":["a"]}`), want: []string{"a"}},
		{name: "what is no tag", before: link("", `{"tags":["a","../b","\u001b[2J",".c","","d"]}`), want: []string{"a", "d"}},
		{name: "null", before: link("", `{"tags":null}`)},
		{name: "a page for people", before: link("", `<html>`), kind: errkind.Network},
		{name: "none", before: says(http.MethodGet, 404), kind: errkind.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := registrytest.NewPushed()
			t.Cleanup(p.Close)
			d := destination(t, p, Options{}, "x")
			for n := range 7 {
				if _, err := d.PutManifest(t.Context(), desc, raw, fmt.Sprint(n+1)); err != nil {
					t.Fatal(err)
				}
			}
			p.Before = c.before
			var got []string
			var failed error
			for tag, err := range New(quick(Options{PlainHTTP: []string{p.Host}})).Tags(t.Context(), d.Reference()) {
				if failed = err; err == nil {
					got = append(got, tag)
				}
			}
			if !slices.Equal(got, c.want) || errkind.Of(failed) != c.kind {
				t.Errorf("got %q, %v", got, failed)
			}
		})
	}
}
