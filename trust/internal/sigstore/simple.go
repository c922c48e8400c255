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
	Key keys.Key
	// Reference is what the image was called when it was signed, "" where the
	// form has no place for it.
	Reference string
}

// Simple verifies a simple signing of the manifest with these bytes.
func Simple(payload []byte, annotations map[string]string, manifest []byte, by []keys.Key) (Claim, error) {
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
func signer(message, signature []byte, by []keys.Key) (keys.Key, error) {
	for _, k := range by {
		if k.Verify(message, signature) {
			return k, nil
		}
	}
	return keys.Key{}, errOtherKey
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
	defer func() {
		if err != nil {
			err = fmt.Errorf("its payload is malformed: %w", err)
		}
	}()
	doc, err := jsontree.Parse(raw, MaxPayload)
	if err != nil {
		return "", "", err
	}
	if err := doc.Exactly("critical", "optional"); err != nil {
		return "", "", err
	}
	if err := readOptional(doc.Get("optional")); err != nil {
		return "", "", err
	}
	critical := doc.Get("critical")
	if err := critical.Exactly("type", "image", "identity"); err != nil {
		return "", "", err
	}
	kind, err := critical.Get("type").Text()
	if err == nil && kind != "cosign container image signature" {
		err = critical.Errorf("the type %.100q is not known", kind)
	}
	if err != nil {
		return "", "", err
	}
	text, err := onlyText(critical.Get("image"), "docker-manifest-digest")
	if err != nil {
		return "", "", err
	}
	if manifest, err = digest.Parse(text); err != nil {
		return "", "", err
	}
	reference, err = onlyText(critical.Get("identity"), "docker-reference")
	return manifest, reference, err
}

// onlyText is the only member of an object, a string.
func onlyText(v *jsontree.Value, name string) (string, error) {
	if err := v.Exactly(name); err != nil {
		return "", err
	}
	return v.Get(name).Text()
}

// readOptional looks at what says nothing about trust, and has a type all the
// same.
func readOptional(v *jsontree.Value) error {
	if v.IsNull() {
		return nil
	}
	return v.Each(func(name string, value *jsontree.Value) error {
		switch name {
		case "creator":
			_, err := value.Text()
			return err
		case "timestamp":
			if !value.IsInteger() {
				return value.Errorf("the timestamp is no whole number")
			}
		}
		return nil
	})
}
