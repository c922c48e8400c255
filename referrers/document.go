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

// MaxDocument bounds a document in bytes, with what it is wrapped in.
const MaxDocument = 32 << 20

// wrapping is what a document may be wrapped in: a sigstore bundle holds a DSSE
// envelope, which holds an in-toto statement, which holds the document. See
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

// Document takes a document out of what it is wrapped in: of an attestation it
// is the predicate, of anything else the bytes as they are. The statement of an
// attestation must be about one of the digests, else the error is an
// [errkind.Mismatch]. Signatures are not verified.
func Document(raw []byte, about ...digest.Digest) ([]byte, error) {
	const layers = 2 // a bundle or an envelope, and a statement
	for range layers {
		var w wrapping
		if json.Unmarshal(raw, &w) != nil {
			return raw, nil // a document of its own form
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
