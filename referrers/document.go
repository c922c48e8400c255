// SPDX-License-Identifier: Apache-2.0

package referrers

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/errkind"
)

// MaxDocument bounds the bytes of a document with all its wrappings, for callers of
// [Document].
const MaxDocument = 32 << 20

// wrapping is the JSON in which a document may be wrapped: a sigstore bundle contains a
// DSSE envelope, which contains an in-toto statement, which contains the document. See
// https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md and
// https://github.com/secure-systems-lab/dsse/blob/master/envelope.md
type wrapping struct {
	DSSEEnvelope *struct {
		Payload []byte `json:"payload"`
	} `json:"dsseEnvelope"`
	PayloadType string          `json:"payloadType"`
	Payload     json.RawMessage `json:"payload"`

	Type    string `json:"_type"`
	Subject []struct {
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
	Predicate json.RawMessage `json:"predicate"`
}

// Document unwraps a document. For an attestation it returns the predicate, as the bytes
// of its JSON or, if that is a string, its text; for anything else it returns raw. The
// statement of an attestation must name one of the digests as its subject, or else the
// error is an [errkind.Mismatch]; an envelope that cannot be decoded is an
// [errkind.Malformed]. Signatures are not verified.
func Document(raw []byte, about ...digest.Digest) ([]byte, error) {
	const turns = 2 // a bundle and its envelope come off in one; the next reads the statement
	for range turns {
		var w wrapping
		if json.Unmarshal(raw, &w) != nil {
			return raw, nil // no JSON, or JSON of another form
		}
		switch {
		case strings.HasPrefix(w.Type, "https://in-toto.io/Statement"):
			return w.predicate(about)
		case w.DSSEEnvelope != nil:
			raw = w.DSSEEnvelope.Payload
		case w.PayloadType != "" && len(w.Payload) > 0:
			var payload []byte
			if err := json.Unmarshal(w.Payload, &payload); err != nil {
				return nil, errkind.With(errkind.Malformed, fmt.Errorf("envelope of an attestation: %w", err))
			}
			raw = payload
		default:
			return raw, nil
		}
	}
	var w wrapping
	if json.Unmarshal(raw, &w) != nil || !strings.HasPrefix(w.Type, "https://in-toto.io/Statement") {
		return nil, errkind.New(errkind.Malformed, "an envelope without a statement")
	}
	return w.predicate(about)
}

// predicate returns the document in a statement about one of the digests.
func (w *wrapping) predicate(about []digest.Digest) ([]byte, error) {
	named := false
	for _, subject := range w.Subject {
		for algorithm, hex := range subject.Digest {
			named = named || slices.Contains(about, digest.Digest(algorithm+":"+hex))
		}
	}
	if !named {
		return nil, errkind.New(errkind.Mismatch, "the attestation is about something else")
	}
	var text string // of documents that are no JSON
	if json.Unmarshal(w.Predicate, &text) == nil && text != "" {
		return []byte(text), nil
	}
	return w.Predicate, nil
}
