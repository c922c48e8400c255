// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/internal/schematest"
	"github.com/layerctl/layerctl/manifest"
)

// attached is a registry with an index over one image, tagged "all", and what
// tools attach to it.
func attached(t *testing.T) (*registrytest.Registry, ocispec.Descriptor) {
	t.Helper()
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	r.ListReferrers()
	image := addPeerImage(r, ocispec.MediaTypeImageManifest, `{"os":"linux","architecture":"arm64"}`)
	r.Tag(registrytest.Attach(r, image), "all")
	return r, image
}

// The whole of what belongs to an image, from all four places.
func TestInspectReferrers(t *testing.T) {
	r, _ := attached(t)
	args := []string{"inspect", "--quiet", "--referrers", "--platform", "linux/arm64", "--plain-http", r.Host, r.Host + "/image:all"}
	tree := output(t, args...)
	checkTree(t, tree)
	got := strings.Split(tree, "\n")
	for i, line := range got {
		if before, hex, ok := strings.Cut(line, " sha256:"); ok && len(hex) == 64 {
			got[i] = before + " sha256:…"
		}
		got[i] = strings.ReplaceAll(got[i], r.Host, "HOST")
	}
	if text := strings.Join(got, "\n"); text != strings.TrimPrefix(wantReferrers, "\n") {
		t.Errorf("got\n%s\nwant%s", text, wantReferrers)
	}
	schematest.Check(t, exactShape(t), output(t, append(args, "--json")...))
	if found := output(t, append(args, "--format", "{{range .manifests}}{{range .referrers}}{{.kind}} {{end}}{{end}}")...); strings.Count(found, "signature") != 3 {
		t.Errorf("kinds %q", found)
	}
}

const wantReferrers = `
HOST/image:all
   index sha256:…
         OCI index of 1 image, 1 attestation, 666 B

* linux/arm64  (for what was asked for)
manifest sha256:…
    sbom sha256:…
         https://spdx.dev/Document, in-toto statement, 241 B, in the index
   built sha256:…
         https://slsa.dev/provenance/v1, in-toto statement, 247 B, in the index
  signed sha256:…
         https://sigstore.dev/cosign/sign/v1, sigstore bundle, 2 B, by the
         referrers API
         not checked
    sbom sha256:…
         application/spdx+json, 26 B, created 2026-01-03T03:04:05Z, by the
         referrers API
- signed sha256:…
         cosign, 3 B, by cosign's tag .sig
         not checked
  signed sha256:…
         notation, 2 B, created 2026-01-02T03:04:05Z, by the referrers API
         claims to be by certificate c0ffee
         not checked
  signed sha256:…
         cosign, 2 B, by cosign's tag .sig
         not checked
    sbom sha256:…
         text/spdx+json, 26 B, by cosign's tag .sbom
`

// The requests of one platform: the index, and for it and the image one list and
// three HEADs each; one for each manifest that is found, and for those that are
// no signature and in no index the list and cosign's signature of them.
func TestInspectReferrersRequests(t *testing.T) {
	r, _ := attached(t)
	r.Requests()
	output(t, "inspect", "--store", t.TempDir(), "--quiet", "--referrers", "--platform", "linux/arm64", "--plain-http", r.Host, r.Host+"/image:all")
	const root, asked, found, below = 1, 2 * (1 + 3), 1 + 3 + 2, 2*2 + 1
	if got := len(r.Requests()); got != root+asked+found+below {
		t.Errorf("%d requests, want %d", got, root+asked+found+below)
	}
}

// refused is what a command says that ends with the code.
func refused(t *testing.T, code int, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if got := run(append([]string{"layerctl"}, args...), strings.NewReader(""), &stdout, &stderr); got != code || stdout.Len() > 0 {
		t.Errorf("layerctl %q: exit %d, want %d: %s%s", args, got, code, &stdout, &stderr)
	}
	return stderr.String()
}

// Documents are printed as they are, once the digest and the subject hold.
func TestInspectDocuments(t *testing.T) {
	r, image := attached(t)
	inspect := func(args ...string) []string {
		return append([]string{"inspect", "--quiet", "--platform", "linux/arm64", "--plain-http", r.Host, r.Host + "/image:all"}, args...)
	}
	if got := output(t, inspect("--provenance")...); got != `{"says":"so it was built"}` {
		t.Errorf("provenance %q", got)
	}
	three := []string{`{"says":"these packages"}`, `{"spdxVersion":"SPDX-2.2"}`, `{"spdxVersion":"SPDX-2.3"}`}
	stderr := refused(t, 3, inspect("--sbom")...)
	if !strings.Contains(stderr, "there are 3 documents that are meant by SBOM: sha256:") || !strings.Contains(stderr, "--attached") {
		t.Errorf("stderr %q", stderr)
	}
	d := digest.FromString(three[2])
	for _, name := range []string{d.String(), d.Encoded()[:12]} {
		if got := output(t, inspect("--attached", name)...); got != three[2] {
			t.Errorf("attached %q", got)
		}
	}
	if stderr := refused(t, 3, inspect("--attached", "0000000")...); !strings.Contains(stderr, "no document \"0000000\" belongs to it") {
		t.Errorf("stderr %q", stderr)
	}
	refused(t, 2, inspect("--sbom", "--provenance")...)

	// An attestation of another image, and one whose bytes were exchanged.
	statement := []byte(fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicate":{}}`, digest.FromString("x").Encoded()))
	blob := r.Add("application/vnd.in-toto+json", statement)
	blob.Annotations = map[string]string{"in-toto.io/predicate-type": "https://example.com/scan"}
	r.Attachment(&image, "application/vnd.in-toto+json", nil, nil, blob)
	if stderr := refused(t, 6, inspect("--attached", blob.Digest.String())...); !strings.Contains(stderr, "about something else") {
		t.Errorf("stderr %q", stderr)
	}
	r.AddAs(d, "", []byte(`{"spdxVersion":"SPDX-9.9"}`))
	refused(t, 6, inspect("--attached", d.String())...)
}

// From a layout and offline from the cache the same is found as from a registry.
func TestInspectReferrersElsewhere(t *testing.T) {
	r, image := attached(t)
	cold := t.TempDir()
	ask := func(args ...string) string {
		all := []string{"inspect", "--quiet", "--platform", "linux/arm64", "--plain-http", r.Host, "--store", cold + "/store", "--format", "{{range .manifests}}{{range .referrers}}{{.digest}} {{end}}{{end}}", "--referrers", r.Host + "/image:all"}
		return output(t, append(all, args...)...)
	}
	online := ask()
	if offline := ask("--offline"); offline != online || strings.Count(offline, "sha256:") != 7 {
		t.Errorf("offline %q, online %q", offline, online)
	}

	layout := imagetest.NewLayout(t.TempDir())
	copied := layout.Image(ocispec.Platform{OS: "linux", Architecture: "arm64"}, imagetest.Tar(imagetest.File("a", "a")))
	layout.Tag(copied, "image")
	config := layout.Blob(ocispec.MediaTypeImageConfig, []byte(`{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":[]}}`))
	hold := func(tag, mediaType string, subject *ocispec.Descriptor) {
		blob := layout.Blob(mediaType, []byte(mediaType))
		desc := layout.Blob(ocispec.MediaTypeImageManifest, imagetest.JSON(map[string]any{
			"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "config": config, "layers": []any{blob}, "subject": subject,
		}))
		if tag == "" {
			layout.Add(desc)
			return
		}
		layout.Tag(desc, tag)
	}
	hold(manifest.CosignTag(copied.Digest, manifest.TagSignature), "application/vnd.dev.cosign.simplesigning.v1+json", nil)
	hold("", "application/spdx+json", &ocispec.Descriptor{MediaType: copied.MediaType, Digest: copied.Digest, Size: copied.Size})
	hold("", "application/vnd.cyclonedx+json", &ocispec.Descriptor{MediaType: image.MediaType, Digest: image.Digest, Size: image.Size})
	got := output(t, "inspect", "--quiet", "--referrers", "--format", "{{range .manifests}}{{range .referrers}}{{.kind}} by {{.place}}, {{end}}{{end}}", "--platform", "linux/arm64", "oci:"+layout.Dir+":image")
	if got != "sbom by referrers, signature by tag, \n" {
		t.Errorf("of a layout %q", got)
	}
}
