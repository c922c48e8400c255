// SPDX-License-Identifier: Apache-2.0

// Package signtest signs images for tests, as cosign does by a key.
//
// It is apart from imagetest, so that tests without signatures are linked
// without crypto/x509. No part of the product imports it.
package signtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// Signer signs images as cosign does by a key. It panics where that fails.
type Signer struct{ private *ecdsa.PrivateKey }

// NewSigner makes a key on P-256.
func NewSigner() Signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return Signer{k}
}

// PEM is the public key.
func (s Signer) PEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(s.private.Public())
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// Sign signs a message, base64.
func (s Signer) Sign(message []byte) string {
	sum := sha256.Sum256(message)
	signature, err := ecdsa.SignASN1(rand.Reader, s.private, sum[:])
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(signature)
}

// SimplePayload is what a simple signing of a manifest says.
func SimplePayload(manifest []byte, reference string) string {
	return fmt.Sprintf(`{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}`, reference, digest.FromBytes(manifest))
}

// SignPredicate is that of a statement which signs an image.
const SignPredicate = "https://sigstore.dev/cosign/sign/v1"

// Statement is what a bundle's envelope says of a manifest.
func Statement(manifest []byte, predicate string) string {
	return fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"%s"}}],"predicateType":%q,"predicate":{}}`, digest.FromBytes(manifest).Encoded(), predicate)
}

// EnvelopeBundle is a bundle with a DSSE envelope around a statement.
func (s Signer) EnvelopeBundle(statement string) string {
	const kind = "application/vnd.in-toto+json"
	pae := fmt.Sprintf("DSSEv1 %d %s %d %s", len(kind), kind, len(statement), statement)
	return Bundle(fmt.Sprintf(`"dsseEnvelope":{"payload":%q,"payloadType":%q,"signatures":[{"sig":%q}]}`,
		base64.StdEncoding.EncodeToString([]byte(statement)), kind, s.Sign([]byte(pae))))
}

// MessageBundle is a bundle with a signature over a manifest.
func (s Signer) MessageBundle(manifest []byte) string {
	sum := sha256.Sum256(manifest)
	return Bundle(fmt.Sprintf(`"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":%q},"signature":%q}`,
		base64.StdEncoding.EncodeToString(sum[:]), s.Sign(manifest)))
}

// Bundle is a sigstore bundle 0.3 by a key around one member.
func Bundle(content string) string {
	return `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"}},` + content + `}`
}
