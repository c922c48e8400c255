// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/registry"
)

// signed puts an image into a layout with an SBOM, the SBOM's signature, and a
// signature as cosign tags it.
func signed(t *testing.T, dir string) (sbom, signature, cosign digest.Digest) {
	t.Helper()
	l := imagetest.NewLayout(dir)
	image := l.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, imagetest.Tar(imagetest.File("x", "y")))
	l.Tag(image, "1")
	refer := func(to *ocispec.Descriptor, kind string) ocispec.Descriptor {
		m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: kind, Subject: to}
		m.SchemaVersion = 2
		m.Config = l.Blob("application/vnd.oci.empty.v1+json", []byte("{}"))
		m.Layers = []ocispec.Descriptor{l.Blob("application/json", []byte(`{"of":"`+kind+`"}`))}
		return l.Blob(m.MediaType, imagetest.JSON(m))
	}
	subject := func(d ocispec.Descriptor) *ocispec.Descriptor {
		return &ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
	}
	a := refer(subject(image), "application/spdx+json")
	b := refer(subject(a), "application/vnd.dev.sigstore.bundle.v0.3+json")
	c := refer(nil, "application/vnd.oci.image.config.v1+json")
	l.Add(a)
	l.Add(b)
	l.Tag(c, "sha256-"+image.Digest.Encoded()+".sig")
	return a.Digest, b.Digest, c.Digest
}

// TestCopyReferrers copies through registries with and without the referrers API
// and a layout: what refers to the image is found behind each.
func TestCopyReferrers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sbom, signature, cosign := signed(t, filepath.Join(dir, "from"))
	with, without := pushed(t), pushed(t)
	with.Referrers = true
	c := client(with, without)
	places := []string{"oci:" + dir + "/from:1", with.Host + "/a:1", without.Host + "/b:1", "oci:" + dir + "/back:1", with.Host + "/c:1"}
	for n := range places[1:] {
		from, to := parseRef(t, places[n]), parseRef(t, places[n+1])
		done, err := Copy(t.Context(), c, from, to, Options{Referrers: true})
		if err != nil || done.Referrers != 3 {
			t.Fatalf("%s to %s: %+v, %v", from, to, done, err)
		}
		for _, d := range []digest.Digest{sbom, signature, cosign} {
			if !holds(t, c, to, d) {
				t.Errorf("%s lacks %s", to, d)
			}
		}
		again, err := Copy(t.Context(), c, from, to, Options{Referrers: true})
		if err != nil || again.Manifests+again.Sent != 0 {
			t.Errorf("%s to %s again: %+v, %v", from, to, again, err)
		}
	}
	plain, err := Copy(t.Context(), c, parseRef(t, places[0]), parseRef(t, with.Host+"/d:1"), Options{})
	if err != nil || plain.Referrers != 0 || with.Blob("d", sbom) != nil {
		t.Errorf("got %+v, %v", plain, err)
	}
	list := without.Blob("b", without.Tagged("b", manifest.ReferrersTag(digestOf(t, c, places[0]))))
	var index ocispec.Index
	if err := json.Unmarshal(list, &index); err != nil || len(index.Manifests) != 1 || index.Manifests[0].ArtifactType != "application/spdx+json" {
		t.Errorf("the fallback tag has %s, %v", list, err)
	}
}

func holds(t *testing.T, c *registry.Client, ref registry.Reference, d digest.Digest) bool {
	t.Helper()
	s, err := c.Open(t.Context(), ref.WithDigest(d))
	if err != nil {
		return false
	}
	defer s.Close()
	_, _, err = s.Root(t.Context())
	return err == nil
}
