// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/trust/internal/keys"
)

func publicPEM(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func readKeys(t testing.TB, raw []byte) []*keys.Key {
	t.Helper()
	list, err := keys.ParsePEM(raw)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Each key verifies what its kind of signer makes, and nothing else.
func TestKeysVerify(t *testing.T) {
	message := []byte("message")
	s256, s384, s512 := sha256.Sum256(message), sha512.Sum384(message), sha512.Sum512(message)
	curve := func(c elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	p256, p384, p521 := curve(elliptic.P256()), curve(elliptic.P384()), curve(elliptic.P521())
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		signer crypto.Signer
		sum    []byte
		opts   crypto.SignerOpts
	}{
		{"P-256", p256, s256[:], crypto.SHA256},
		{"P-384 as cosign 2 has it", p384, s256[:], crypto.SHA256},
		{"P-384", p384, s384[:], crypto.SHA384},
		{"P-521", p521, s512[:], crypto.SHA512},
		{"Ed25519", ed, message, crypto.Hash(0)},
		{"Ed25519ph", ed, s512[:], &ed25519.Options{Hash: crypto.SHA512}},
		{"RSA", rsa2048, s256[:], crypto.SHA256},
		{"RSA-PSS", rsa2048, s256[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}},
	} {
		t.Run(c.name, func(t *testing.T) {
			signature, err := c.signer.Sign(rand.Reader, c.sum, c.opts)
			if err != nil {
				t.Fatal(err)
			}
			k := readKeys(t, publicPEM(t, c.signer.Public()))[0]
			if !k.Verify(message, signature) {
				t.Error("it does not hold")
			}
			changed := append([]byte{}, signature...)
			changed[len(changed)-1] ^= 1
			if k.Verify([]byte("another"), signature) || k.Verify(message, changed) || k.Verify(message, nil) {
				t.Error("what was changed holds")
			}
			if other := readKeys(t, publicPEM(t, curve(elliptic.P256()).Public()))[0]; other.Verify(message, signature) {
				t.Error("another key holds")
			}
		})
	}
}

func TestParsePEM(t *testing.T) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := string(publicPEM(t, k.Public()))
	if list := readKeys(t, []byte("a comment\n"+good+"\n"+good+"\n")); len(list) != 2 || list[0].Fingerprint() != list[1].Fingerprint() {
		t.Errorf("two keys are %v", list)
	}
	block := func(kind string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte("x")}))
	}
	for name, c := range map[string]struct{ text, want string }{
		"nothing":        {"", "no public key"},
		"DER":            {"\x30\x82", "no public key"},
		"private":        {block("ENCRYPTED SIGSTORE PRIVATE KEY"), "SIGSTORE PRIVATE KEY"},
		"certificate":    {block("CERTIFICATE"), "certificate"},
		"OpenPGP":        {block("PGP PUBLIC KEY BLOCK"), "OpenPGP"},
		"rubbish":        {block("PUBLIC KEY"), "asn1"},
		"a small curve":  {string(publicPEM(t, small.Public())), "too small"},
		"the second bad": {good + block("CERTIFICATE"), "certificate"},
		"the second cut": {good + good[:60], "damaged"},
		"the first cut":  {good[:60] + "\n" + good, "damaged"},
		"many":           {strings.Repeat(good, 101), "more than 100"},
	} {
		if _, err := keys.ParsePEM([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// FuzzParsePEM: whatever a file holds, its keys say no to rubbish.
func FuzzParsePEM(f *testing.F) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(publicPEM(f, k.Public()))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := keys.ParsePEM(raw)
		if err != nil {
			return
		}
		for _, k := range list {
			if k.Verify([]byte("x"), []byte("y")) || !strings.HasPrefix(k.Fingerprint(), "sha256:") {
				t.Errorf("key %v", k)
			}
		}
	})
}
