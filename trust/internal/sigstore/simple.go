// SPDX-License-Identifier: Apache-2.0

package sigstore

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/trust/internal/jsontree"
	"github.com/layerctl/layerctl/trust/internal/keys"
)

// Media types and annotations of the forms.
const (
	// SimpleType is of the layer that is the payload of a simple signing.
	SimpleType = "application/vnd.dev.cosign.simplesigning.v1+json"
	// SignatureAnnotation of such a layer is the signature over it, base64.
	SignatureAnnotation = "dev.cosignproject.cosign/signature"
	// CertificateAnnotation is there where the key is a certificate's.
	CertificateAnnotation = "dev.sigstore.cosign/certificate"
)

// Limits on what is read.
const (
	MaxPayload   = 64 << 10
	maxSignature = 8 << 10
)

// Why a signature does not hold.
var (
	// errOtherKey says that none of the keys made it.
	errOtherKey = errors.New("none of the keys made it")
	// errKeyless says that it is by a certificate, which nothing here can judge.
	errKeyless = errors.New("it is keyless, by a certificate, and only public keys are understood")
	// errOtherDigest says that it is of another image.
	errOtherDigest = errors.New("it is of another image")
)

// Claim is what a signature that holds says of the image.
type Claim struct {
	Key *keys.Key
	// Reference is what the image was called when it was signed, "" where the
	// form has no place for it.
	Reference string
}

// Simple verifies a simple signing of the manifest with these bytes.
func Simple(payload []byte, annotations map[string]string, manifest []byte, by []*keys.Key) (Claim, error) {
	signature, err := decode(annotations[SignatureAnnotation])
	if err != nil {
		return Claim{}, err
	}
	key, err := signer(payload, signature, by)
	if err != nil {
		if annotations[CertificateAnnotation] != "" {
			err = errKeyless
		}
		return Claim{}, err
	}
	signed, reference, err := readPayload(payload)
	if err != nil {
		return Claim{}, err
	}
	if signed != signed.Algorithm().FromBytes(manifest) {
		return Claim{}, fmt.Errorf("%w, %.80q", errOtherDigest, signed)
	}
	return Claim{key, reference}, nil
}

// signer is the key that made the signature.
func signer(message, signature []byte, by []*keys.Key) (*keys.Key, error) {
	for _, k := range by {
		if k.Verify(message, signature) {
			return k, nil
		}
	}
	return nil, errOtherKey
}

func decode(text string) ([]byte, error) {
	if text == "" {
		return nil, errors.New("it has no signature")
	}
	if len(text) > maxSignature {
		return nil, fmt.Errorf("its signature is larger than %d bytes", maxSignature)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("its signature is no base64: %w", err)
	}
	return raw, nil
}

// readPayload reads exactly what the form has: a member that is not known could
// be meant to restrict it.
func readPayload(raw []byte) (manifest digest.Digest, reference string, err error) {
	doc, err := jsontree.Parse(raw, MaxPayload)
	if err == nil {
		doc.Exactly("critical", "optional")
		readOptional(doc.Get("optional"))
		critical := doc.Get("critical")
		critical.Exactly("type", "image", "identity")
		if kind := critical.Get("type"); kind.Text() != "cosign container image signature" {
			doc.Fail("the type %.100q is not known", kind.TextAt())
		}
		text := onlyText(critical.Get("image"), "docker-manifest-digest")
		reference = onlyText(critical.Get("identity"), "docker-reference")
		if err = doc.Err(); err == nil {
			manifest, err = digest.Parse(text)
		}
	}
	if err != nil {
		return "", "", fmt.Errorf("its payload is malformed: %w", err)
	}
	return manifest, reference, nil
}

// onlyText is the only member of an object, a string.
func onlyText(v *jsontree.Value, name string) string {
	v.Exactly(name)
	return v.Get(name).Text()
}

// readOptional looks at what says nothing about trust, and has a type all the
// same.
func readOptional(v *jsontree.Value) {
	if v.IsNull() {
		return
	}
	v.Each(func(name string, value *jsontree.Value) {
		switch name {
		case "creator":
			value.Text()
		case "timestamp":
			value.Integer()
		}
	})
}
