// SPDX-License-Identifier: Apache-2.0

package referrers_test

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/referrers"
)

// certificate names https://example.com/org/app/build.yml@refs/heads/main, for
// which https://token.example.com vouches, as Fulcio's do.
const certificate = `-----BEGIN CERTIFICATE-----
MIIBYTCCAQegAwIBAgIBATAKBggqhkjOPQQDAjAAMB4XDTI2MDEwMTAwMDAwMFoX
DTI2MDEwMTAwMTAwMFowADBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABBJYGNwC
maFdbCzadxl/gH5iHJwgwxSW+MM9bShBkaVTtNSQ5b9jLEKSSObBIJilhykUp+Us
ga+WW69evwUjudyjcjBwMEMGA1UdEQEB/wQ5MDeGNWh0dHBzOi8vZXhhbXBsZS5j
b20vb3JnL2FwcC9idWlsZC55bWxAcmVmcy9oZWFkcy9tYWluMCkGCisGAQQBg78w
AQgEGwwZaHR0cHM6Ly90b2tlbi5leGFtcGxlLmNvbTAKBggqhkjOPQQDAgNIADBF
AiEAxJ7dL+I0HYSG5LXklt9gRGNIZkVHIb4KEuc2lZaOApMCICfD64Jk5TX5vcLh
m1OayckvBT/cCZpmbvrwTn1Vy0eQ
-----END CERTIFICATE-----`

// TestClaims says what a certificate claims, and nothing where there is none
// that can be read.
func TestClaims(t *testing.T) {
	for name, test := range map[string]struct{ certificate, want string }{
		"none":       {"", ""},
		"a workload": {certificate, "https://example.com/org/app/build.yml@refs/heads/main (https://token.example.com)"},
		"no PEM":     {"hello", ""},
		"cut":        {certificate[:200] + "\n-----END CERTIFICATE-----\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			blob := ocispec.Descriptor{
				MediaType: "application/vnd.dev.cosign.simplesigning.v1+json", Digest: digest.FromString("payload"), Size: 7,
				Annotations: map[string]string{"dev.sigstore.cosign/certificate": test.certificate},
			}
			raw := imagetest.JSON(map[string]any{
				"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest,
				"config": ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromString("config"), Size: 6},
				"layers": []any{blob}, "subject": ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("image"), Size: 5},
			})
			from := oneManifest{raw: raw}
			found, err := referrers.New(from, referrers.Options{}).Of(t.Context(), digest.FromString("image"), nil)
			if err != nil || len(found) != 1 || found[0].Claimed != test.want {
				t.Errorf("found %+v, error %v", found, err)
			}
		})
	}
}
