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
	// SimpleType is the media type of the layer that is the payload of a simple signing.
	SimpleType = "application/vnd.dev.cosign.simplesigning.v1+json"
	// SignatureAnnotation is the annotation of such a layer for its signature, in base64.
	SignatureAnnotation = "dev.cosignproject.cosign/signature"
	// CertificateAnnotation is the annotation of such a layer for the certificate, if its
	// key made the signature.
	CertificateAnnotation = "dev.sigstore.cosign/certificate"
)

// MaxPayload and maxSignature bound the bytes of a payload, and of a signature in base64.
const (
	MaxPayload   = 64 << 10
	maxSignature = 8 << 10
)

// The errors of signatures that are not good.
var (
	errOtherKey = errors.New("none of the keys made it")
	// errKeyless says that the key is that of a certificate, which is not verified here.
	errKeyless     = errors.New("it is keyless, by a certificate, and only public keys are understood")
	errOtherDigest = errors.New("it is of another image")
)

// Claim is what a good signature says.
type Claim struct {
	Key *keys.Key
	// Reference is the name of the image in the signature; "" for a form without one.
	Reference string
}

// Simple verifies a simple signing as a signature of the manifest, by one of the keys.
// annotations are those of the payload's layer.
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

// signer returns the key that made the signature.
func signer(message, signature []byte, by []*keys.Key) (*keys.Key, error) {
	for _, k := range by {
		if k.Verify(message, signature) {
			return k, nil
		}
	}
	return nil, errOtherKey
}

// decode reads a signature in base64.
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

// readPayload reads a payload. An unknown member is an error, because it may restrict
// what is signed.
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

// onlyText returns the only member of an object, which is a string.
func onlyText(v *jsontree.Value, name string) string {
	v.Exactly(name)
	return v.Get(name).Text()
}

// readOptional checks the types of members that do not matter for trust.
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
