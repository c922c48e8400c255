// SPDX-License-Identifier: Apache-2.0

package referrers_test

import (
	"encoding/base64"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/referrers"
)

var (
	ours      = digest.FromString("image")
	statement = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + ours.Encoded() + `"}}],"predicate":{"a": 1}}`
	payload   = base64.StdEncoding.EncodeToString([]byte(statement))
	envelope  = `{"payloadType":"application/vnd.in-toto+json","payload":"` + payload + `","signatures":[]}`
	bundle    = `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":` + envelope + `}`
)

func TestDocument(t *testing.T) {
	for name, test := range map[string]struct {
		raw  string
		want string
		kind errkind.Kind
	}{
		"by itself":              {`{"spdxVersion":"SPDX-2.3"}`, `{"spdxVersion":"SPDX-2.3"}`, 0},
		"no JSON":                {"SPDXVersion: SPDX-2.3\n", "SPDXVersion: SPDX-2.3\n", 0},
		"a statement":            {statement, `{"a": 1}`, 0},
		"an envelope":            {envelope, `{"a": 1}`, 0},
		"a bundle":               {bundle, `{"a": 1}`, 0},
		"text":                   {`{"_type":"https://in-toto.io/Statement/v0.1","subject":[{"digest":{"sha256":"` + ours.Encoded() + `"}}],"predicate":"Tag: x"}`, "Tag: x", 0},
		"of another image":       {`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"00"}}],"predicate":{}}`, "", errkind.Mismatch},
		"of nothing":             {`{"_type":"https://in-toto.io/Statement/v1","predicate":{}}`, "", errkind.Mismatch},
		"an envelope of text":    {`{"payloadType":"x","payload":"aGVsbG8="}`, "hello", 0},
		"an odd envelope":        {`{"payloadType":"x","payload":7}`, "", errkind.Malformed},
		"envelopes in envelopes": {wrap(wrap(wrap(statement))), "", errkind.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := referrers.Document([]byte(test.raw), digest.FromString("index"), ours)
			if string(got) != test.want || errkind.Of(err) != test.kind {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func wrap(payload string) string {
	return `{"payloadType":"x","payload":"` + base64.StdEncoding.EncodeToString([]byte(payload)) + `"}`
}

// A document is never one of an attestation about something else.
func FuzzDocument(f *testing.F) {
	for _, raw := range []string{statement, envelope, bundle, `{}`, "text"} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := referrers.Document(raw, ours)
		if err == nil && len(got) > len(raw) {
			t.Errorf("%d bytes of %d", len(got), len(raw))
		}
	})
}
