// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/trust/internal/keys"
	"github.com/layerctl/layerctl/trust/internal/sigstore"
)

// recorded is a file of testdata, of which its README.md says how it was made.
func recorded(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "sigstore", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// What cosign 3 and 2 and containers/image made, by each kind of key, holds in
// the forms that they have, and for no other image and by no other key.
func TestByCosign(t *testing.T) {
	kinds := []string{"p256", "p384", "p521", "ed25519", "rsa", "cosign2-p256", "cosign2-rsa", "image"}
	byKind := map[string][]*keys.Key{}
	for _, kind := range kinds {
		list, err := keys.ParsePEM(recorded(t, kind+".pub"))
		if err != nil {
			t.Fatal(err)
		}
		byKind[kind] = list
	}
	manifest := recorded(t, "manifest.json")
	another := append([]byte{' '}, manifest...)
	for _, kind := range kinds {
		payload := recorded(t, kind+"-simple.json")
		annotations := annotated(strings.TrimSpace(string(recorded(t, kind+"-simple.sig"))))
		for form, verify := range map[string]func(manifest []byte, by []*keys.Key) (sigstore.Claim, error){
			"simple": func(m []byte, by []*keys.Key) (sigstore.Claim, error) {
				return sigstore.Simple(payload, annotations, m, by)
			},
			"bundle": func(m []byte, by []*keys.Key) (sigstore.Claim, error) {
				return sigstore.Bundle(recorded(t, kind+"-bundle.json"), m, by)
			},
		} {
			if form == "bundle" && (kind == "cosign2-rsa" || kind == "image") {
				continue // containers/image makes none, and of that key none is recorded
			}
			t.Run(kind+" "+form, func(t *testing.T) {
				claim, err := verify(manifest, byKind[kind])
				if err != nil || claim.Key.Fingerprint() != byKind[kind][0].Fingerprint() || (claim.Reference == "") != (form == "bundle") {
					t.Errorf("got %v, %v", claim, err)
				}
				if _, err := verify(another, byKind[kind]); err == nil || !strings.Contains(err.Error(), "another image") {
					t.Errorf("of another image: %v", err)
				}
				for _, other := range kinds {
					if _, err := verify(manifest, byKind[other]); other != kind && err == nil {
						t.Errorf("it holds by %s", other)
					}
				}
			})
		}
	}
	if _, err := sigstore.Bundle(recorded(t, "p256-attestation.json"), manifest, byKind["p256"]); err == nil || !strings.Contains(err.Error(), "attests") {
		t.Errorf("an attestation: %v", err)
	}
}
