// SPDX-License-Identifier: Apache-2.0

// Package keys reads public keys in PEM and verifies signatures by them: ECDSA on P-256,
// P-384 and P-521, Ed25519, and RSA of 2048 to 8192 bits.
package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// Key is one public key.
type Key struct {
	public      crypto.PublicKey
	fingerprint string
}

// Fingerprint returns "sha256:" and the hash of the key's SubjectPublicKeyInfo, as
// "openssl pkey -pubin -outform der | sha256sum" computes it.
func (k *Key) Fingerprint() string { return k.fingerprint }

const (
	// MaxFile bounds the bytes of a file of keys.
	MaxFile = 1 << 20
	maxKeys = 100
)

// ParsePEM reads all keys of a file. A block that is damaged or no public key, or a key of
// another kind, is an error. Text between the blocks is allowed.
func ParsePEM(raw []byte) ([]*Key, error) {
	var list []*Key
	begins := bytes.Count(raw, []byte("-----BEGIN"))
	for {
		block, rest := pem.Decode(raw)
		if block == nil {
			break
		}
		k, err := parse(block)
		if err != nil {
			return nil, err
		}
		if list = append(list, k); len(list) > maxKeys {
			return nil, fmt.Errorf("there are more than %d keys", maxKeys)
		}
		raw = rest
	}
	// pem.Decode passes over blocks that it cannot read.
	if len(list) == 0 || len(list) != begins {
		return nil, errors.New("it holds no public key as PEM, or one that is damaged")
	}
	return list, nil
}

// parse reads the key in a block of PEM.
func parse(block *pem.Block) (*Key, error) {
	info := block.Bytes
	switch block.Type {
	case "PUBLIC KEY":
	case "RSA PUBLIC KEY":
		info = rsaInfo(info)
	case "CERTIFICATE":
		return nil, errors.New("it is a certificate, and only public keys are read")
	case "PGP PUBLIC KEY BLOCK":
		return nil, errors.New("it is an OpenPGP key, and those are not read")
	default:
		return nil, fmt.Errorf("it is %.60q, no public key", block.Type)
	}
	public, err := x509.ParsePKIXPublicKey(info)
	if err == nil {
		err = fit(public)
	}
	sum := sha256.Sum256(info)
	return &Key{public, "sha256:" + hex.EncodeToString(sum[:])}, err
}

// rsaInfo makes the SubjectPublicKeyInfo of a key in the form of PKCS #1 (RFC 3279,
// 2.3.1).
func rsaInfo(key []byte) []byte {
	algorithm := []byte{0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0} // rsaEncryption, NULL
	return der(0x30, algorithm, der(3, []byte{0}, key))
}

// der makes an element of DER, with its length in as few bytes as possible.
func der(tag byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	head := []byte{tag, byte(len(body))}
	switch n := len(body); {
	case n > 0xffff: // no key is as long: what is returned is invalid
		head = nil
	case n > 0xff:
		head = []byte{tag, 0x82, byte(n >> 8), byte(n)}
	case n > 0x7f:
		head = []byte{tag, 0x81, byte(n)}
	}
	return append(head, body...)
}

// fit refuses keys that are too weak, that take long to verify, or of unknown kinds.
func fit(public any) error {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize < 256 {
			return fmt.Errorf("the curve %s is too small", k.Curve.Params().Name)
		}
	case ed25519.PublicKey:
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < 2048 || bits > 8192 {
			return fmt.Errorf("an RSA key has 2048 to 8192 bits, this one %d", bits)
		}
	default:
		return fmt.Errorf("keys of the kind %T are not read", public)
	}
	return nil
}

// Verify reports whether the key has made the signature of message, in one of the ways of
// sigstore's signers for such a key: Ed25519 or Ed25519ph; ECDSA in ASN.1, and RSA by
// PKCS #1 v1.5 or PSS, over a hash that digests returns.
func (k *Key) Verify(message, signature []byte) bool {
	switch public := k.public.(type) {
	case ed25519.PublicKey:
		sum := sha512.Sum512(message)
		return ed25519.Verify(public, message, signature) ||
			ed25519.VerifyWithOptions(public, sum[:], signature, &ed25519.Options{Hash: crypto.SHA512}) == nil
	case *ecdsa.PublicKey:
		for _, sum := range digests(message, public.Curve.Params().BitSize) {
			if ecdsa.VerifyASN1(public, sum.bytes, signature) {
				return true
			}
		}
	case *rsa.PublicKey:
		for _, sum := range digests(message, public.N.BitLen()/8) {
			if rsa.VerifyPKCS1v15(public, sum.hash, sum.bytes, signature) == nil ||
				rsa.VerifyPSS(public, sum.hash, sum.bytes, signature, nil) == nil {
				return true
			}
		}
	}
	return false
}

// sum is a message's hash.
type sum struct {
	hash  crypto.Hash
	bytes []byte
}

// digests returns the message's SHA-256, which cosign signs with any key, and for more
// than 256 bits also the larger hash, which sigstore-go signs. For RSA, bits is an eighth
// of the modulus.
func digests(message []byte, bits int) []sum {
	s := sha256.Sum256(message)
	list := []sum{{crypto.SHA256, s[:]}}
	switch {
	case bits > 384:
		s := sha512.Sum512(message)
		list = append(list, sum{crypto.SHA512, s[:]})
	case bits > 256:
		s := sha512.Sum384(message)
		list = append(list, sum{crypto.SHA384, s[:]})
	}
	return list
}
