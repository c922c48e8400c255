// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/signtest"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/trust"
)

const (
	index  = `{"schemaVersion":2,"manifests":[]}`
	child  = `{"schemaVersion":2,"layers":[]}`
	simple = "application/vnd.dev.cosign.simplesigning.v1+json"
	bundle = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// world is an image with what lies beside its index and its manifest.
type world struct {
	signer     signtest.Signer
	signatures map[digest.Digest][]trust.Signature
	blobs      map[digest.Digest][]byte
	asked      []digest.Digest
	reads      int
	fails      error
}

func newWorld() *world {
	return &world{signer: signtest.NewSigner(), signatures: map[digest.Digest][]trust.Signature{}, blobs: map[digest.Digest][]byte{}}
}

func (w *world) add(subject, form, text string, annotations map[string]string) {
	d := digest.FromString(text)
	w.blobs[d] = []byte(text)
	s := trust.Signature{Form: form, Blob: ocispec.Descriptor{MediaType: form, Digest: d, Size: int64(len(text)), Annotations: annotations}}
	s.Read = func(_ context.Context, desc ocispec.Descriptor) ([]byte, error) {
		w.reads++
		return w.blobs[desc.Digest], nil
	}
	of := digest.FromString(subject)
	w.signatures[of] = append(w.signatures[of], s)
}

// simple signs manifest with a name by who, and puts that beside subject.
func (w *world) simple(subject string, who signtest.Signer, manifest, name string) {
	payload := signtest.SimplePayload([]byte(manifest), name)
	w.add(subject, simple, payload, map[string]string{"dev.cosignproject.cosign/signature": who.Sign([]byte(payload))})
}

func (w *world) find(_ context.Context, of digest.Digest) ([]trust.Signature, error) {
	w.asked = append(w.asked, of)
	return w.signatures[of], w.fails
}

func (w *world) keyFile(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cosign.pub")
	if err := os.WriteFile(file, w.signer.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (w *world) byKey(t testing.TB) *trust.Policy {
	t.Helper()
	p, err := trust.ByKeys(w.keyFile(t))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// requiring is a policy of one requirement by the signer's key.
func (w *world) requiring(t testing.TB, identity string) *trust.Policy {
	t.Helper()
	return policyOf(t, fmt.Sprintf(`{"default":[{"type":"reject"}],"transports":{"docker":{"example.com":[
{"type":"sigstoreSigned","keyPath":%q%s}]}}}`, w.keyFile(t), identity))
}

func policyOf(t testing.TB, text string) *trust.Policy {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := trust.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func image(t testing.TB, name string, find trust.Finder) trust.Image {
	t.Helper()
	ref, err := registry.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	i := trust.Image{Reference: ref}
	for _, text := range []string{index, child} {
		i.Subjects = append(i.Subjects, trust.Subject{
			Digest: digest.FromString(text), Read: func(context.Context) ([]byte, error) { return []byte(text), nil }, Find: find,
		})
	}
	return i
}

const byRepository = `,"signedIdentity":{"type":"matchRepository"}`

func TestJudge(t *testing.T) {
	stranger := signtest.NewSigner()
	for _, c := range []struct {
		name   string
		beside func(w *world)
		policy func(testing.TB, *world) *trust.Policy
		kind   errkind.Kind // 0 where it is let in
		want   string       // of the reason, or of the one accepted
	}{
		{"signed index", func(w *world) { w.simple(index, w.signer, index, "x") }, nil, 0, "simple signing " + digest.FromString(index).String()},
		{"signed child", func(w *world) { w.simple(child, w.signer, child, "x") }, nil, 0, "simple signing " + digest.FromString(child).String()},
		{"bundle", func(w *world) {
			w.add(index, bundle, w.signer.EnvelopeBundle(signtest.Statement([]byte(index), signtest.SignPredicate)), nil)
		}, nil, 0, "bundle " + digest.FromString(index).String()},
		{"bundle of a message", func(w *world) { w.add(child, bundle, w.signer.MessageBundle([]byte(child)), nil) }, nil, 0, "bundle " + digest.FromString(child).String()},
		{"among others", func(w *world) {
			w.simple(index, stranger, index, "x")
			w.add(index, bundle, stranger.MessageBundle([]byte(index)), nil)
			w.simple(index, w.signer, index, "x")
		}, nil, 0, "simple signing"},
		{"unsigned", func(*world) {}, nil, errkind.Denied, "there is none"},
		{"by another key", func(w *world) { w.simple(index, stranger, index, "x") }, nil, errkind.Mismatch, "none of the keys made it"},
		{"of another image", func(w *world) { w.simple(index, w.signer, "another", "x") }, nil, errkind.Mismatch, "of another image"},
		{"of the child, beside the index", func(w *world) { w.simple(index, w.signer, child, "x") }, nil, errkind.Mismatch, "of another image"},
		{"bundle of another image", func(w *world) {
			w.add(index, bundle, w.signer.EnvelopeBundle(signtest.Statement([]byte("another"), signtest.SignPredicate)), nil)
		}, nil, errkind.Mismatch, "of another image"},
		{"attested only", func(w *world) {
			w.add(index, bundle, w.signer.EnvelopeBundle(signtest.Statement([]byte(index), "https://slsa.dev/provenance/v1")), nil)
		}, nil, errkind.Mismatch, "attests"},
		{"of another form", func(w *world) { w.add(index, "notation", "x", nil) }, nil, errkind.Mismatch, "not understood here: notation"},
		{"as the policy names it", func(w *world) { w.simple(index, w.signer, index, "example.com/app") }, identity(byRepository), 0, "simple signing"},
		{"tag as the policy asks", func(w *world) { w.simple(index, w.signer, index, "example.com/app:1") }, identity(""), 0, "simple signing"},
		{"of another tag", func(w *world) { w.simple(index, w.signer, index, "example.com/app:2") }, identity(""), errkind.Mismatch, `it is for "example.com/app:2"`},
		{"without a tag", func(w *world) { w.simple(index, w.signer, index, "example.com/app") }, identity(""), errkind.Mismatch, "matchRepoDigestOrExact"},
		{"of another repository", func(w *world) { w.simple(index, w.signer, index, "example.com/other") }, identity(byRepository), errkind.Mismatch, "another name"},
		{"bundle where a name is asked for", func(w *world) { w.add(index, bundle, w.signer.MessageBundle([]byte(index)), nil) }, identity(byRepository), errkind.Denied, "a bundle names no image"},
		{"rejected", func(w *world) { w.simple(index, w.signer, index, "x") }, text(`{"default":[{"type":"reject"}]}`), errkind.Denied, "rejects every image"},
		{"OpenPGP", func(w *world) { w.simple(index, w.signer, index, "x") }, text(`{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k"}]}`), errkind.Denied, "OpenPGP"},
		{"no such key", func(*world) {}, text(`{"default":[{"type":"sigstoreSigned","keyPath":"/no/such"}]}`), errkind.Denied, "/no/such"},
		{"accepted and rejected", func(*world) {}, text(`{"default":[{"type":"insecureAcceptAnything"},{"type":"reject"}]}`), errkind.Denied, "rejects"},
		{"anything", func(*world) {}, text(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0, ""},
		{"keys, and a policy that rejects", func(w *world) { w.simple(index, w.signer, index, "x") }, func(t testing.TB, w *world) *trust.Policy {
			return policyOf(t, `{"default":[{"type":"reject"}]}`).And(w.byKey(t))
		}, errkind.Denied, "rejects"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			c.beside(w)
			policy := w.byKey(t)
			if c.policy != nil {
				policy = c.policy(t, w)
			}
			v, err := policy.Judge(t.Context(), image(t, "example.com/app:1", w.find))
			if c.kind != 0 {
				if errkind.Of(err) != c.kind || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v (%v), want %v: %s", err, errkind.Of(err), c.kind, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			by := ""
			for _, a := range v.Accepted {
				by += a.Form + " " + a.Subject.String()
			}
			if !strings.Contains(by, c.want) || (by == "") != (c.want == "") || v.Nothing != (c.want == "") {
				t.Errorf("accepted by %q, want %q", by, c.want)
			}
		})
	}
}

func identity(member string) func(testing.TB, *world) *trust.Policy {
	return func(t testing.TB, w *world) *trust.Policy { return w.requiring(t, member) }
}

func text(policy string) func(testing.TB, *world) *trust.Policy {
	return func(t testing.TB, _ *world) *trust.Policy { return policyOf(t, policy) }
}

// Two requirements want two signatures.
func TestTwoRequirements(t *testing.T) {
	w, second := newWorld(), newWorld()
	policy := w.requiring(t, byRepository).And(second.byKey(t))
	w.simple(index, w.signer, index, "example.com/app")
	if _, err := policy.Judge(t.Context(), image(t, "example.com/app:1", w.find)); errkind.Of(err) != errkind.Mismatch {
		t.Errorf("by one of two: %v", err)
	}
	w.simple(child, second.signer, child, "x")
	v, err := policy.Judge(t.Context(), image(t, "example.com/app:1", w.find))
	if err != nil || len(v.Accepted) != 2 || v.Accepted[0].Key == v.Accepted[1].Key || v.Accepted[0].Reference != "example.com/app" {
		t.Errorf("by both: %v, %v", v, err)
	}
}

// A refusal names the line that decided.
func TestRefusalNamesTheLine(t *testing.T) {
	w := newWorld()
	_, err := w.requiring(t, "").Judge(t.Context(), image(t, "example.com/app:1", w.find))
	var refused *trust.RefusedError
	if !errors.As(err, &refused) || refused.Line != 2 || refused.Scope != "docker:example.com" || !refused.Unsigned || !strings.HasSuffix(refused.Policy, "/policy.json") {
		t.Errorf("got %+v", refused)
	}
	_, err = w.requiring(t, "").Judge(t.Context(), image(t, "other.example/app:1", w.find))
	if !errors.As(err, &refused) || refused.Line != 1 || refused.Scope != "default" || refused.Unsigned {
		t.Errorf("got %+v", refused)
	}
}

// Signatures are asked for only where a policy wants one, and of the index first.
func TestWhatIsAskedFor(t *testing.T) {
	w := newWorld()
	for name, p := range map[string]*trust.Policy{
		"no policy": nil, "anything": policyOf(t, `{"default":[{"type":"insecureAcceptAnything"}]}`), "nothing": policyOf(t, `{"default":[{"type":"reject"}]}`),
	} {
		if _, err := p.Judge(t.Context(), image(t, "example.com/app:1", w.find)); (err == nil) == (name == "nothing") || w.asked != nil {
			t.Errorf("%s: %v, asked for %v", name, err, w.asked)
		}
	}
	w.simple(index, w.signer, index, "x")
	if _, err := w.byKey(t).Judge(t.Context(), image(t, "example.com/app:1", w.find)); err != nil || len(w.asked) != 1 {
		t.Errorf("%v, asked for %v", err, w.asked)
	}
}

// A thousand signatures of one payload cost one request; what is too large, and
// more than that, is not looked at.
func TestManySignatures(t *testing.T) {
	w, stranger := newWorld(), signtest.NewSigner()
	payload := signtest.SimplePayload([]byte(index), "x")
	signature := map[string]string{"dev.cosignproject.cosign/signature": stranger.Sign([]byte(payload))}
	for range 998 {
		w.add(index, simple, payload, signature)
	}
	w.add(index, bundle, "", nil)
	w.signatures[digest.FromString(index)][998].Blob.Size = 100 << 20
	w.simple(index, w.signer, index, "x")
	policy := w.byKey(t)
	if v, err := policy.Judge(t.Context(), image(t, "example.com/app:1", w.find)); err != nil || len(v.Accepted) != 1 || w.reads != 1 {
		t.Errorf("the last of a thousand: %v, %v after %d reads", v, err, w.reads)
	}
	of := digest.FromString(index)
	w.signatures[of] = append([]trust.Signature{w.signatures[of][0]}, w.signatures[of]...)
	_, err := policy.Judge(t.Context(), image(t, "example.com/app:1", w.find))
	if err == nil || !strings.Contains(err.Error(), "more than 1000") || !strings.Contains(err.Error(), "larger than") || len(err.Error()) > 500 {
		t.Errorf("the last of one more: %v", err)
	}
	w = newWorld()
	for n := range 40 {
		w.simple(index, stranger, index, fmt.Sprint(n))
	}
	if _, err := w.byKey(t).Judge(t.Context(), image(t, "example.com/app:1", w.find)); err == nil || w.reads != 32 {
		t.Errorf("forty payloads: %v after %d reads", err, w.reads)
	}
}

// What could not be asked is said in place of that there is none.
func TestFailuresOfTheRegistry(t *testing.T) {
	w := newWorld()
	w.fails = errkind.New(errkind.Network, "no answer")
	policy := w.byKey(t)
	if _, err := policy.Judge(t.Context(), image(t, "example.com/app:1", w.find)); errkind.Of(err) != errkind.Network {
		t.Errorf("got %v", err)
	}
	w.simple(child, w.signer, child, "x")
	if _, err := policy.Judge(t.Context(), image(t, "example.com/app:1", w.find)); err != nil {
		t.Errorf("though one is there: %v", err)
	}
}

// What is asked has another digest when the policy or a key has changed.
func TestAsks(t *testing.T) {
	w := newWorld()
	ask := func(p *trust.Policy, name string) trust.Asks {
		a, err := p.Asks(image(t, name, nil).Reference)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := ask(nil, "example.com/app:1"); !a.Nothing {
		t.Errorf("without a policy: %v", a)
	}
	one, again := ask(w.requiring(t, ""), "example.com/app:1"), ask(w.requiring(t, ""), "example.com/app:2")
	if one.Digest != again.Digest || one.Nothing || one.Line != 2 {
		t.Errorf("%v and %v", one, again)
	}
	seen := map[digest.Digest]bool{one.Digest: true}
	for _, a := range []trust.Asks{
		ask(w.requiring(t, byRepository), "example.com/app:1"), ask(w.requiring(t, ""), "other.example/app:1"),
		ask(newWorld().requiring(t, ""), "example.com/app:1"), ask(w.byKey(t), "example.com/app:1"),
	} {
		if seen[a.Digest] {
			t.Errorf("%v is another's", a)
		}
		seen[a.Digest] = true
	}
}

func TestUsual(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	if err := os.MkdirAll(filepath.Join(home, ".config", "containers"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(home, ".config", "containers", "policy.json")
	if err := os.WriteFile(file, []byte(`{"default":[{"type":"reject"}],"x":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := trust.Usual()
	var broken *trust.PolicyError
	if errkind.Of(err) != errkind.Denied || !errors.As(err, &broken) || broken.File != file {
		t.Errorf("a broken policy: %v", err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(file, 1000, 1000); err != nil {
			t.Fatal(err)
		}
		if _, err := trust.Usual(); err == nil || !strings.Contains(err.Error(), "belongs to user 1000") {
			t.Errorf("another user's: %v", err)
		}
	}
}
