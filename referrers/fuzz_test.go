// SPDX-License-Identifier: Apache-2.0

package referrers_test

import (
	"context"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/referrers"
)

// oneManifest lists one manifest in each place, and has the same bytes for all.
type oneManifest struct {
	of  digest.Digest
	raw []byte
}

func (o oneManifest) desc() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(o.raw), Size: int64(len(o.raw))}
}

func (o oneManifest) Referrers(context.Context, digest.Digest) ([]ocispec.Descriptor, error) {
	return []ocispec.Descriptor{o.desc()}, nil
}

func (o oneManifest) DescribeTag(context.Context, string) (ocispec.Descriptor, error) {
	return o.desc(), nil
}

func (o oneManifest) ReadTag(context.Context, string) (ocispec.Descriptor, []byte, error) {
	return o.desc(), o.raw, nil
}

func (o oneManifest) Manifest(context.Context, ocispec.Descriptor) ([]byte, error) { return o.raw, nil }

// Whatever an attachment's manifest says becomes a bounded number of
// attachments, and what names another subject is never believed.
func FuzzContents(f *testing.F) {
	subject := digest.FromString("image")
	blob := ocispec.Descriptor{MediaType: "application/vnd.in-toto+json", Digest: subject, Size: 5}
	for _, artifactType := range []string{"", "application/vnd.cncf.notary.signature", "application/vnd.dev.sigstore.bundle.v0.3+json"} {
		f.Add(imagetest.JSON(ocispec.Manifest{
			MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType, Config: blob, Layers: []ocispec.Descriptor{blob, blob},
			Subject: &blob, Annotations: map[string]string{"dev.sigstore.cosign/certificate": certificate, "io.cncf.notary.x509chain.thumbprint#S256": `["a"]`},
		}))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		from := oneManifest{of: subject, raw: raw}
		found, err := referrers.New(from, referrers.Options{Below: true}).Of(t.Context(), subject, nil)
		if err != nil && errkind.Of(err) != errkind.Malformed {
			t.Errorf("error %v", err)
		}
		if len(found) > 100 {
			t.Errorf("%d attachments", len(found))
		}
		for _, a := range found {
			if a.Err == nil && a.Document.Subject != nil && a.Document.Subject.Digest != subject {
				t.Errorf("%s is believed to be of another subject", a.Manifest.Digest)
			}
			if len(a.Claimed) > 320 {
				t.Errorf("a claim of %d bytes", len(a.Claimed))
			}
		}
	})
}
