// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/internal/schematest"
	"github.com/layerctl/layerctl/internal/signtest"
)

// serveSigned starts a registry whose tags are images: "simple" and "bundle" are
// signed by the key good.pub, in the two forms, "stranger" by another, other.pub,
// and "unsigned" by none. keys is the directory of the keys.
func serveSigned(t *testing.T) (host, keys string) {
	t.Helper()
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	r.ListReferrers()
	keys = t.TempDir()
	good, other := signtest.NewSigner(), signtest.NewSigner()
	for name, s := range map[string]signtest.Signer{"good.pub": good, "other.pub": other} {
		if err := os.WriteFile(filepath.Join(keys, name), s.PEM(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	simple := func(s signtest.Signer, image ocispec.Descriptor, raw []byte) {
		payload := signtest.SimplePayload(raw, r.Host+"/app:simple")
		blob := r.Add("application/vnd.dev.cosign.simplesigning.v1+json", []byte(payload))
		blob.Annotations = map[string]string{"dev.cosignproject.cosign/signature": s.Sign([]byte(payload))}
		r.Attachment(nil, "", []string{registrytest.CosignTag(image, ".sig")}, nil, blob)
	}
	image, raw := addImage(r, "simple")
	simple(good, image, raw)
	image, raw = addImage(r, "stranger")
	simple(other, image, raw)
	const bundle = "application/vnd.dev.sigstore.bundle.v0.3+json"
	image, raw = addImage(r, "bundle")
	blob := r.Add(bundle, []byte(good.EnvelopeBundle(signtest.Statement(raw, signtest.SignPredicate))))
	r.Attachment(&image, bundle, nil, nil, blob)
	addImage(r, "unsigned")
	return r.Host, keys
}

// addImage adds an image of one file, which says its tag.
func addImage(r *registrytest.Registry, tag string) (ocispec.Descriptor, []byte) {
	tarball := imagetest.Tar(imagetest.File("etc/motd", tag+"\n"))
	image := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	image.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(tarball)}}
	m := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, Config: r.Add(ocispec.MediaTypeImageConfig, imagetest.JSON(image)),
		Layers: []ocispec.Descriptor{r.Add(ocispec.MediaTypeImageLayer, tarball)},
	}
	m.SchemaVersion = 2
	raw := imagetest.JSON(m)
	return r.Add(ocispec.MediaTypeImageManifest, raw, tag), raw
}

// What verify-signature and inspect say of signatures as JSON is of the shapes
// that are documented.
func TestSignedShapes(t *testing.T) {
	host, keys := serveSigned(t)
	verdicts, inspections := exactShapeOf(t, "verify-signature"), exactShape(t)
	about := func(command, tag, key string, more ...string) []string {
		args := []string{command, host + "/app:" + tag, "--plain-http", host, "--platform", "linux/amd64"}
		if key != "" {
			args = append(args, "--policy", "none", "--verify-key", filepath.Join(keys, key))
		}
		return append(args, more...)
	}
	anything := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(anything, []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		about("verify-signature", "simple", "good.pub"), about("verify-signature", "bundle", "good.pub"),
		about("verify-signature", "unsigned", "", "--policy", anything),
	} {
		schematest.Check(t, verdicts, output(t, append(args, "--json")...))
	}
	for _, c := range []struct{ tag, key, want string }{
		{"simple", "good.pub", `checked: by key [0-9a-f]{12}, it\s+calls\s+the\s+image\s+".*/app:simple"`},
		{"bundle", "good.pub", `checked: by key [0-9a-f]{12}\n`},
		{"stranger", "good.pub", `checked: the keys that were named: no signature is good:\s+none\s+of\s+the\s+keys\s+made\s+it`},
		{"simple", "", `not checked`},
	} {
		args := about("inspect", c.tag, c.key, "--referrers", "--quiet")
		if got := output(t, args...); !regexp.MustCompile(c.want).MatchString(got) {
			t.Errorf("%s by %q: %s", c.tag, c.key, got)
		}
		schematest.Check(t, inspections, output(t, append(args, "--json")...))
	}
	// Documents are read whatever the policy says.
	if got := output(t, about("inspect", "unsigned", "good.pub", "--digest")...); !strings.HasPrefix(got, "sha256:") {
		t.Errorf("the digest is %q", got)
	}
}
