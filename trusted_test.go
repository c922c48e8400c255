// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/internal/signtest"
	"github.com/layerctl/layerctl/internal/trusted"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/trust"
)

// guarded is a registry with an image, and a client that lets in what one key
// has signed.
type guarded struct {
	*cached
	signer signtest.Signer
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	s := signtest.NewSigner()
	return &guarded{newCached(t, Options{Trust: keyPolicy(t, s)}), s}
}

func keyPolicy(t *testing.T, s signtest.Signer) *trust.Policy {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cosign.pub")
	if err := os.WriteFile(file, s.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := trust.ByKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// bytesOf are those of an index or manifest of the registry's layout.
func (g *guarded) bytesOf(t *testing.T, desc ocispec.Descriptor) []byte {
	t.Helper()
	raw, err := os.ReadFile(g.layout.Path(desc.Digest))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// sign puts a simple signing beside an index or manifest.
func (g *guarded) sign(t *testing.T, desc ocispec.Descriptor, who signtest.Signer) {
	payload := signtest.SimplePayload(g.bytesOf(t, desc), "example.com/app")
	blob := g.Add("application/vnd.dev.cosign.simplesigning.v1+json", []byte(payload))
	blob.Annotations = map[string]string{"dev.cosignproject.cosign/signature": who.Sign([]byte(payload))}
	g.Attachment(nil, "", []string{registrytest.CosignTag(desc, ".sig")}, nil, blob)
}

// bundle puts a bundle beside an index or manifest, in the list of referrers and
// under the fallback tag.
func (g *guarded) bundle(t *testing.T, desc ocispec.Descriptor, who signtest.Signer) {
	const kind = "application/vnd.dev.sigstore.bundle.v0.3+json"
	blob := g.Add(kind, []byte(who.EnvelopeBundle(signtest.Statement(g.bytesOf(t, desc), signtest.SignPredicate))))
	m := g.Attachment(&desc, kind, nil, []string{"dev.sigstore.bundle.content", "dsse-envelope", "dev.sigstore.bundle.predicateType", signtest.SignPredicate}, blob)
	m.ArtifactType = kind
	g.Add(ocispec.MediaTypeImageIndex, imagetest.JSON(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{m},
	}), registrytest.CosignTag(desc, ""))
}

func (g *guarded) root() ocispec.Descriptor {
	d := g.Tagged("latest")
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: d}
}

// layers counts requests for blobs, less those for the config and the payload.
func asksForLayers(asked []string, layers []digest.Digest) bool {
	return slices.ContainsFunc(asked, func(a string) bool {
		return slices.ContainsFunc(layers, func(d digest.Digest) bool { return strings.Contains(a, d.String()) })
	})
}

// blobs are those of the image's layers.
func (g *guarded) blobs(t *testing.T) []digest.Digest {
	t.Helper()
	open, err := New(Options{Registry: g.client.options.Registry, Platform: g.client.options.Platform}).Documents(t.Context(), g.ref)
	if err != nil {
		t.Fatal(err)
	}
	var list []digest.Digest
	for _, part := range strings.Split(string(open.ManifestBytes), `"digest":"`)[2:] {
		list = append(list, digest.Digest(part[:71]))
	}
	g.Requests()
	return list
}

// A signature on the index or the image, in both forms and places, lets the
// image in, for three requests more where it is on what was asked for.
func TestPullSigned(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		sign func(t *testing.T, g *guarded)
		more int
	}{
		{"simple signing of the index", func(t *testing.T, g *guarded) { g.ListReferrers(); g.sign(t, g.root(), g.signer) }, 3},
		{"bundle of the index", func(t *testing.T, g *guarded) { g.ListReferrers(); g.bundle(t, g.root(), g.signer) }, 3},
		{"simple signing, no list of referrers", func(t *testing.T, g *guarded) { g.sign(t, g.root(), g.signer) }, 3},
		{"simple signing of the image", func(t *testing.T, g *guarded) { g.ListReferrers(); g.sign(t, g.image, g.signer) }, 5},
		{"bundle of the image", func(t *testing.T, g *guarded) { g.ListReferrers(); g.bundle(t, g.image, g.signer) }, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGuarded(t)
			c.sign(t, g)
			pulled, asked := g.pull(t, g.ref)
			if len(asked) != 5+c.more {
				t.Errorf("asked %q, want %d more than index, manifest, config and two layers", asked, c.more)
			}
			list, err := trusted.List(g.store.Dir())
			if err != nil || len(list) != 1 || list[0].Manifest != pulled.Image.Manifest || len(list[0].Signatures) != 1 {
				t.Errorf("recorded %v, %v", list, err)
			}
			// Once more, and offline: nobody is asked but what the tag means.
			if _, asked := g.pull(t, g.ref); len(asked) != 1 {
				t.Errorf("the second pull asked %q", asked)
			}
			if _, err := g.offline().Pull(t.Context(), g.store, g.ref); err != nil {
				t.Error(err)
			}
			// By another policy it is asked again, of what was kept.
			o := g.client.options
			o.Offline, o.Trust = true, g.client.options.Trust.And(keyPolicy(t, g.signer))
			if _, err := New(o).Pull(t.Context(), g.store, g.ref); err != nil {
				t.Error(err)
			}
			o.Trust = keyPolicy(t, signtest.NewSigner())
			if _, err := New(o).Pull(t.Context(), g.store, g.ref); errkind.Of(err) != errkind.Mismatch {
				t.Errorf("by another key: %v", err)
			}
		})
	}
}

// version has the registry serve another image of one layer in an index, tagged,
// whose index or image is signed.
func (g *guarded) version(t *testing.T, tag string, child bool, sign func(*testing.T, ocispec.Descriptor, signtest.Signer)) {
	image := g.layout.Image(linuxARMv7, imagetest.Tar(imagetest.File("version", tag)))
	index := g.layout.Index(image)
	g.AddLayout(g.layout.Dir, "")
	g.Tag(index, tag)
	if child {
		index = image
	}
	sign(t, index, g.signer)
}

// A policy costs at most three requests an image, once it is known where a
// repository has its signatures and whether its registry lists referrers, and
// in the usual cases from the first image on. What the first costs beyond that is
// what had to be asked in vain: docs/manual.md has the table. Three rows are
// tried in short, the dearest among them.
func TestRequestsOfPolicies(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name                 string
		bundle, list         bool // its form, and whether the registry lists referrers
		child, names         bool // whether it is of the image, and whether the policy asks for a name
		first, again, beside int  // for the first image, the next ones, one of another repository
	}{
		{"bundle of the image, no list", true, false, true, false, 7, 3, 5},
		{"simple signing", false, true, false, false, 3, 2, 3},
		{"bundle", true, true, false, false, 3, 3, 3},
		{"simple signing of the image, no list", false, false, true, false, 5, 2, 5},
		{"simple signing of the image with a name", false, true, true, true, 3, 2, 3},
		{"simple signing, no list", false, false, false, false, 3, 2, 3},
		{"bundle, no list", true, false, false, false, 5, 3, 3},
		{"simple signing of the image", false, true, true, false, 5, 2, 5},
		{"bundle of the image", true, true, true, false, 5, 3, 5},
		{"simple signing with a name", false, true, false, true, 2, 2, 2},
		{"simple signing with a name, no list", false, false, false, true, 2, 2, 2},
		{"simple signing of the image with a name, no list", false, false, true, true, 3, 2, 3},
	}
	for _, c := range some(3, rows...) {
		t.Run(c.name, func(t *testing.T) {
			g := newGuarded(t)
			if c.list {
				g.ListReferrers()
			}
			if c.names {
				g.client.options.Trust = g.naming(t)
			}
			sign := g.sign
			if c.bundle {
				sign = g.bundle
			}
			pull := func(client *Client, repository, tag string, want int) {
				g.version(t, tag, c.child, sign)
				g.Requests()
				if _, err := client.Pull(t.Context(), g.store, g.Host+"/"+repository+":"+tag); err != nil {
					t.Fatal(err)
				}
				if asked := g.Requests(); len(asked) != 4+want {
					t.Errorf("%s:%s asked %q, want %d more than index, manifest, config and layer", repository, tag, asked, want)
				}
			}
			pull(g.client, "image", "first", c.first)
			pull(g.client, "image", "second", c.again)
			pull(New(g.client.options), "image", "of-another-process", c.again)
			pull(g.client, "other", "beside", c.beside)
			pull(New(g.client.options), "third", "by-records", c.beside)
		})
	}
}

// naming is a policy that asks for a name, as policy.json files do.
func (g *guarded) naming(t *testing.T) *trust.Policy {
	file := filepath.Join(t.TempDir(), "policy.json")
	text := fmt.Sprintf(`{"default":[{"type":"sigstoreSigned","keyData":%q,"signedIdentity":{"type":"exactRepository","dockerRepository":"example.com/app"}}]}`,
		base64.StdEncoding.EncodeToString(g.signer.PEM()))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := trust.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A policy that wants nothing, and none, cost nothing.
func TestPullWithoutRequirements(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(file, []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	policy, err := trust.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*trust.Policy{nil, policy} {
		s := newCached(t, Options{Trust: p})
		if _, asked := s.pull(t, s.ref); len(asked) != 5 {
			t.Errorf("asked %q", asked)
		}
	}
}

// Of a refused image no layer is asked for by any verb, and nothing is kept.
func TestRefusedImageLeavesNothing(t *testing.T) {
	g := newGuarded(t)
	g.ListReferrers()
	g.sign(t, g.root(), signtest.NewSigner())
	layers := g.blobs(t)
	dir := filepath.Join(t.TempDir(), "out")
	for name, do := range map[string]func() error{
		"pull":   func() error { _, err := g.client.Pull(t.Context(), g.store, g.ref); return err },
		"plan":   func() error { _, err := g.client.Plan(t.Context(), g.store, g.ref); return err },
		"unpack": func() error { _, err := g.client.Unpack(t.Context(), g.ref, dir, UnpackOptions{}); return err },
		"export": func() error {
			_, err := g.client.Export(t.Context(), g.ref, &bytes.Buffer{}, ExportOptions{})
			return err
		},
		"export all": func() error {
			_, err := g.client.Export(t.Context(), g.ref, &bytes.Buffer{}, ExportOptions{AllPlatforms: true})
			return err
		},
		"tar": func() error {
			_, err := g.client.Export(t.Context(), g.ref, &bytes.Buffer{}, ExportOptions{Format: Tar})
			return err
		},
		"ls": func() error { _, err := g.client.RootFS(t.Context(), g.ref, RootFSOptions{Store: g.store}); return err },
		"cat": func() error {
			_, err := g.client.OpenFile(t.Context(), g.ref, "/etc/hello", RootFSOptions{})
			return err
		},
		"judge": func() error { _, err := g.client.Judge(t.Context(), g.ref, JudgeOptions{}); return err },
	} {
		t.Run(name, func(t *testing.T) {
			g.Requests()
			err := do()
			var refused *trust.RefusedError
			if errkind.Of(err) != errkind.Mismatch || !errors.As(err, &refused) {
				t.Errorf("got %v", err)
			}
			if asked := g.Requests(); asksForLayers(asked, layers) {
				t.Errorf("asked %q", asked)
			}
		})
	}
	images, err := g.store.Images()
	if err != nil || len(images) != 0 {
		t.Errorf("images %v, %v", images, err)
	}
	blobs, err := g.kept.Blobs()
	if err != nil || len(blobs) != 0 {
		t.Errorf("in the cache %v, %v", blobs, err)
	}
	list, err := trusted.List(g.store.Dir())
	if err != nil || list != nil {
		t.Errorf("records %v, %v", list, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("unpacked: %v", err)
	}
}

// What is in the store without having been asked about is judged before it is
// read or given, and what was is not judged again.
func TestStoredImageIsJudged(t *testing.T) {
	g := newGuarded(t)
	g.ListReferrers()
	o := g.client.options
	o.Trust = nil
	pulled, err := New(o).Pull(t.Context(), g.store, g.ref)
	if err != nil {
		t.Fatal(err)
	}
	read := func(c *Client) error {
		fsys, err := c.RootFS(t.Context(), g.ref, RootFSOptions{Store: g.store})
		if err == nil {
			err = fsys.Close()
		}
		return err
	}
	for name, err := range map[string]error{
		"read": read(g.client), "offline": read(g.offline()),
		"judged": g.client.JudgeStored(t.Context(), g.store, g.ref, pulled.Image),
	} {
		if errkind.Of(err) != errkind.Denied {
			t.Errorf("%s, unsigned: %v", name, err)
		}
	}
	g.sign(t, g.root(), g.signer)
	for name, err := range map[string]error{
		"read": read(g.client), "judged": g.client.JudgeStored(t.Context(), g.store, g.ref, pulled.Image),
		"offline after it": read(g.offline()),
	} {
		if err != nil {
			t.Errorf("%s, signed: %v", name, err)
		}
	}
	// The name moves on; what came by it is still what it was.
	g.serve(g.layout.Index(g.inspected.image(linuxARMv7), g.inspected.image(ocispec.Platform{OS: "linux", Architecture: "amd64"})))
	if err := g.client.JudgeStored(t.Context(), g.store, g.ref, pulled.Image); err != nil {
		t.Errorf("moved: %v", err)
	}
	wanted, err := platform.ParseWanted(g.client.options.Platform)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.store.LookupToRead(g.ref, wanted); err != nil {
		t.Error(err)
	}
}

// Nothing of a layer leaves a source that nobody has asked a policy about.
func TestForgottenPolicyFails(t *testing.T) {
	g := newGuarded(t)
	g.sign(t, g.root(), g.signer)
	s, err := g.client.open(t.Context(), g.ref)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	desc := ocispec.Descriptor{Digest: g.blobs(t)[0], Size: 10}
	if _, err := s.Blob(t.Context(), desc); errkind.Of(err) != errkind.Denied {
		t.Errorf("a layer: %v", err)
	}
	if _, err := s.Part(t.Context(), desc, 0, 1); errkind.Of(err) != errkind.Denied {
		t.Errorf("a part: %v", err)
	}
	if asked := g.Requests(); len(asked) != 0 {
		t.Errorf("asked %q", asked)
	}
}
