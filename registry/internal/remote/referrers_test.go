// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"errors"
	"net/http"
	"testing"

	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/registry/internal/failure"
)

// A list of referrers is read, refused, or none; never more than a bounded number.
func FuzzReferrers(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`))
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` +
		`e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"artifactType":"a/b"}]}`))
	f.Add([]byte(`<html>`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := decodeReferrers(raw)
		if err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, failure.Malformed) {
			t.Errorf("error %v", err)
		}
		if len(list) > manifest.MaxEntries {
			t.Errorf("%d entries", len(list))
		}
	})
}

func TestNextPage(t *testing.T) {
	for link, want := range map[string]string{
		"": "",
		`</v2/a/referrers/sha256:b?n=2&last=x>; rel="next"`: "last=x&n=2",
		`<https://elsewhere.example/?last=y>; rel=next`:     "last=y", // no more than the query counts
		`</v2/a>; rel="next"`:                               "",
		`</v2/a?n=1>; rel="prev"`:                           "",
		`</v2/a?n=1; rel="next"`:                            "",
		`</v2/%zz?n=1>; rel="next"`:                         "",
	} {
		resp := &http.Response{Header: http.Header{"Link": {link}}}
		if got := nextPage(resp).Encode(); got != want {
			t.Errorf("%s: got %q, want %q", link, got, want)
		}
	}
}
