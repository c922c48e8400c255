// SPDX-License-Identifier: Apache-2.0

package sigstore

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/trust/internal/jsontree"
	"github.com/layerctl/layerctl/trust/internal/keys"
)

// The types of bundles and statements.
const (
	// BundleType is the media type of the only version of bundles that is read.
	BundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	// PredicateAnnotation is the annotation of a referrer for the predicate type in its
	// bundle.
	PredicateAnnotation = "dev.sigstore.bundle.predicateType"
	// SignPredicate is the predicate type with which cosign signs images.
	SignPredicate = "https://sigstore.dev/cosign/sign/v1"

	inTotoType = "application/vnd.in-toto+json"
)

// MaxBundle bounds the bytes of a bundle. That of a signature has some kilobytes.
const MaxBundle = 1 << 20

// errNoSignature says that a bundle attests something about the image and does not sign
// it.
var errNoSignature = errors.New("it is no signature of the image but attests something of it")

// Bundle verifies a bundle as a signature of the manifest, by one of the keys.
func Bundle(raw, manifest []byte, by []*keys.Key) (Claim, error) {
	doc, err := jsontree.Parse(raw, MaxBundle)
	if err != nil {
		return Claim{}, fmt.Errorf("its bundle is malformed: %w", err)
	}
	if kind := doc.TextAt("mediaType"); kind != BundleType {
		return Claim{}, fmt.Errorf("its bundle is of the type %.100q, which is not known", kind)
	}
	var key *keys.Key
	message, envelope := doc.Get("messageSignature"), doc.Get("dsseEnvelope")
	switch {
	case message != nil && envelope == nil:
		key, err = byMessage(message, manifest, by)
	case envelope != nil && message == nil:
		key, err = byEnvelope(envelope, manifest, by)
	default:
		return Claim{}, errors.New("its bundle holds not exactly one signature")
	}
	if errors.Is(err, errOtherKey) && doc.Get("verificationMaterial", "publicKey") == nil {
		err = errKeyless
	}
	return Claim{Key: key}, err
}

// byMessage verifies a signature of the manifest's bytes.
func byMessage(message *jsontree.Value, manifest []byte, by []*keys.Key) (*keys.Key, error) {
	if sum := message.Get("messageDigest"); sum != nil && sum.TextAt("algorithm") == "SHA2_256" {
		said, err := base64.StdEncoding.DecodeString(sum.TextAt("digest"))
		want, _ := hex.DecodeString(digest.FromBytes(manifest).Encoded())
		if err != nil || !bytes.Equal(said, want) {
			return nil, fmt.Errorf("%w, sha256:%.64x", errOtherDigest, said)
		}
	}
	signature, err := decode(message.TextAt("signature"))
	if err != nil {
		return nil, err
	}
	return signer(manifest, signature, by)
}

// byEnvelope verifies a DSSE envelope with a statement about the manifest's digest. One
// of its signatures must be good.
func byEnvelope(envelope *jsontree.Value, manifest []byte, by []*keys.Key) (*keys.Key, error) {
	kind := envelope.TextAt("payloadType")
	if kind != inTotoType {
		return nil, fmt.Errorf("its payload is of the type %.100q, which is not known", kind)
	}
	payload, err := base64.StdEncoding.DecodeString(envelope.TextAt("payload"))
	if err != nil {
		return nil, fmt.Errorf("its payload is no base64: %w", err)
	}
	list := envelope.Get("signatures").List()
	if len(list) == 0 || len(list) > maxSignatures {
		return nil, fmt.Errorf("it has no signatures, or more than %d", maxSignatures)
	}
	signed := authenticated(kind, payload)
	for _, s := range list {
		signature, err := decode(s.TextAt("sig"))
		if err != nil {
			return nil, err
		}
		if key, err := signer(signed, signature, by); err == nil {
			return key, readStatement(payload, manifest)
		}
	}
	return nil, errOtherKey
}

// maxSignatures bounds the signatures of an envelope.
const maxSignatures = 16

// authenticated returns the bytes that a DSSE signature signs: the pre-authentication
// encoding (PAE) of DSSE version 1.
func authenticated(kind string, payload []byte) []byte {
	head := fmt.Sprintf("DSSEv1 %d %s %d ", len(kind), kind, len(payload))
	return append([]byte(head), payload...)
}

// readStatement checks a statement whose signature is good: it must say that an image is
// signed, and that it is the one of the manifest.
func readStatement(raw, manifest []byte) error {
	doc, err := jsontree.Parse(raw, MaxBundle)
	if err != nil {
		return fmt.Errorf("its statement is malformed: %w", err)
	}
	switch kind := doc.TextAt("_type"); kind {
	case "https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1":
	default:
		return fmt.Errorf("its statement is of the type %.100q, which is not known", kind)
	}
	if predicate := doc.TextAt("predicateType"); predicate != SignPredicate {
		return fmt.Errorf("%w: %.100q", errNoSignature, predicate)
	}
	list := doc.Get("subject").List()
	if len(list) == 0 {
		return errors.New("its statement has no subject")
	}
	other := ""
	for _, s := range list {
		for _, by := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			sum := s.TextAt("digest", string(by))
			if sum == by.FromBytes(manifest).Encoded() {
				return nil
			}
			other = cmp.Or(sum, other)
		}
	}
	return fmt.Errorf("%w, %.80q", errOtherDigest, other)
}
