// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/signtest"
	"github.com/layerctl/layerctl/trust/internal/keys"
	"github.com/layerctl/layerctl/trust/internal/sigstore"
)

const signed = `{"schemaVersion":2}`

func newMaker(t testing.TB) (signtest.Signer, []*keys.Key) {
	t.Helper()
	s := signtest.NewSigner()
	list, err := keys.ParsePEM(s.PEM())
	if err != nil {
		t.Fatal(err)
	}
	return s, list
}

func payload(manifest, reference string) string {
	return signtest.SimplePayload([]byte(manifest), reference)
}

func statement(manifest, predicate string) string {
	return signtest.Statement([]byte(manifest), predicate)
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func annotated(signature string) map[string]string {
	return map[string]string{sigstore.SignatureAnnotation: signature}
}

// The payload's form is refused or taken as containers/image 5.36 does, which
// reads cosign's.
func TestSimple(t *testing.T) {
	m, public := newMaker(t)
	good := payload(signed, "example.com/app")
	replaced := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(good) }
	for _, c := range []struct{ name, payload, want string }{
		{"as cosign has it", good, ""},
		{"with optional members", replaced(`"optional":null`, `"optional":{"creator":"x","timestamp":1700000000,"more":[1]}`), ""},
		{"with a reference that is none", replaced("example.com/app", "reference#@!"), ""},
		{"of another image", payload("another", "example.com/app"), "of another image"},
		{"no JSON", "&", "malformed"},
		{"no object", "1", "malformed"},
		{"two payloads", good + good, "data after"},
		{"no critical", `{"optional":null}`, `"critical" is missing`},
		{"no optional", replaced(`,"optional":null`, ""), `"optional" is missing`},
		{"more", replaced(`"optional":null`, `"optional":null,"unexpected":1`), `"unexpected" is not known`},
		{"optional is no object", replaced(`"optional":null`, `"optional":1`), "no object"},
		{"no type", replaced(`,"type":"cosign container image signature"`, ""), `"type" is missing`},
		{"another type", replaced("cosign container", "atomic container"), "is not known"},
		{"type is no text", replaced(`"cosign container image signature"`, "1"), "no string"},
		{"no identity", replaced(`"identity":{"docker-reference":"example.com/app"},`, ""), `"identity" is missing`},
		{"more that is critical", replaced(`"critical":{`, `"critical":{"unexpected":1,`), "is not known"},
		{"more of the image", replaced(`"image":{`, `"image":{"unexpected":1,`), "is not known"},
		{"more of the identity", replaced(`"identity":{`, `"identity":{"unexpected":1,`), "is not known"},
		{"a digest twice", replaced(`"image":{`, `"image":{"docker-manifest-digest":"sha256:`+digest.FromString("another").Encoded()+`",`), "twice"},
		{"a digest that is none", replaced(`"sha256:`, `"sha256:../..`), "malformed"},
		{"a digest that is no text", replaced(`"sha256:`+digest.FromString(signed).Encoded()+`"`, "1"), "no string"},
		{"a reference that is no text", replaced(`"example.com/app"`, "1"), "no string"},
		{"a creator that is no text", replaced(`"optional":null`, `"optional":{"creator":1}`), "no string"},
		{"a time that is no number", replaced(`"optional":null`, `"optional":{"timestamp":"x"}`), "no whole number"},
		{"half a second", replaced(`"optional":null`, `"optional":{"timestamp":0.5}`), "no whole number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			claim, err := sigstore.Simple([]byte(c.payload), annotated(m.Sign([]byte(c.payload))), []byte(signed), public)
			if c.want == "" && (err != nil || claim.Key.Fingerprint() != public[0].Fingerprint() || claim.Reference == "") {
				t.Errorf("got %v, %v", claim, err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestSimpleSignatures(t *testing.T) {
	m, public := newMaker(t)
	stranger, strangers := newMaker(t)
	good := []byte(payload(signed, "example.com/app"))
	signature := m.Sign(good)
	both := append(append([]*keys.Key{}, strangers...), public...)
	if claim, err := sigstore.Simple(good, annotated(signature), []byte(signed), both); err != nil || claim.Key.Fingerprint() != public[0].Fingerprint() {
		t.Errorf("by the second of two keys: %v, %v", claim, err)
	}
	for name, c := range map[string]struct {
		payload     []byte
		annotations map[string]string
		want        string
	}{
		"another key":      {good, annotated(stranger.Sign(good)), "none of the keys"},
		"changed payload":  {[]byte(strings.Replace(string(good), "app", "apq", 1)), annotated(signature), "none of the keys"},
		"no signature":     {good, nil, "no signature"},
		"no base64":        {good, annotated("&"), "base64"},
		"a long signature": {good, annotated(strings.Repeat("A", 10<<10)), "larger than"},
		"keyless": {good, map[string]string{
			sigstore.SignatureAnnotation: stranger.Sign(good), sigstore.CertificateAnnotation: "-----BEGIN CERTIFICATE-----",
		}, "keyless"},
	} {
		if _, err := sigstore.Simple(c.payload, c.annotations, []byte(signed), public); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := sigstore.Simple(good, annotated(signature), []byte(signed), nil); err == nil {
		t.Error("it holds without a key")
	}
}

func TestBundle(t *testing.T) {
	m, public := newMaker(t)
	stranger, _ := newMaker(t)
	good := m.EnvelopeBundle(statement(signed, signtest.SignPredicate))
	replaced := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(good) }
	body := good[strings.Index(good, `"dsseEnvelope"`) : len(good)-1]
	second := strings.Replace(good, `"signatures":[`, `"signatures":[{"sig":"AAAA"},`, 1)
	for _, c := range []struct{ name, bundle, want string }{
		{"envelope", good, ""},
		{"message", m.MessageBundle([]byte(signed)), ""},
		{"the second signature", second, ""},
		{"of v0.1 in-toto", m.EnvelopeBundle(strings.Replace(statement(signed, signtest.SignPredicate), "Statement/v1", "Statement/v0.1", 1)), ""},
		{"of two subjects", m.EnvelopeBundle(strings.Replace(statement(signed, signtest.SignPredicate), `"subject":[`, `"subject":[{"digest":{"sha256":"00"}},`, 1)), ""},
		{"another key", stranger.EnvelopeBundle(statement(signed, signtest.SignPredicate)), "none of the keys"},
		{"another key, message", stranger.MessageBundle([]byte(signed)), "none of the keys"},
		{"another subject", m.EnvelopeBundle(statement("another", signtest.SignPredicate)), "of another image"},
		{"another message", m.MessageBundle([]byte("another")), "of another image"},
		{"message that says so", strings.Replace(m.MessageBundle([]byte(signed)), sumOf(signed), sumOf("another"), 1), "of another image"},
		{"an attestation", m.EnvelopeBundle(statement(signed, "https://slsa.dev/provenance/v1")), "attests"},
		{"no subject", m.EnvelopeBundle(strings.Replace(statement(signed, signtest.SignPredicate), `"subject"`, `"subjects"`, 1)), "no subject"},
		{"subject twice", m.EnvelopeBundle(strings.Replace(statement(signed, signtest.SignPredicate), `"subject":[`, `"subject":[],"subject":[`, 1)), "twice"},
		{"another statement", m.EnvelopeBundle(strings.Replace(statement(signed, signtest.SignPredicate), "in-toto.io", "x.example", 1)), "is not known"},
		{"changed statement", replaced(base64Of(statement(signed, signtest.SignPredicate)), base64Of(statement(signed, signtest.SignPredicate)+" ")), "none of the keys"},
		{"another payload type", replaced("vnd.in-toto", "vnd.other"), "is not known"},
		{"another version", replaced("bundle.v0.3+json", "bundle.v0.4+json"), "is not known"},
		{"keyless", strings.Replace(stranger.EnvelopeBundle(statement(signed, signtest.SignPredicate)), `"publicKey":{"hint":"x"}`, `"certificate":{"rawBytes":"eA=="}`, 1), "keyless"},
		{"both", signtest.Bundle(body + `,"messageSignature":{}`), "exactly one"},
		{"neither", signtest.Bundle(`"x":1`), "exactly one"},
		{"envelope twice", signtest.Bundle(body + "," + body), "twice"},
		{"no signatures", replaced(`"signatures":[`, `"signatures":[],"s":[`), "no signatures"},
		{"none at all", replaced(`"signatures"`, `"s"`), "no signature"},
		{"no JSON", "&", "malformed"},
		{"large", strings.Repeat(" ", 2<<20), "larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			claim, err := sigstore.Bundle([]byte(c.bundle), []byte(signed), public)
			if c.want == "" && (err != nil || claim.Key.Fingerprint() != public[0].Fingerprint() || claim.Reference != "") {
				t.Errorf("got %v, %v", claim, err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// FuzzSimple: what holds has the bytes that were signed.
func FuzzSimple(f *testing.F) {
	m, public := newMaker(f)
	good := payload(signed, "example.com/app")
	f.Add([]byte(good), m.Sign([]byte(good)))
	f.Fuzz(func(t *testing.T, raw []byte, signature string) {
		if _, err := sigstore.Simple(raw, annotated(signature), []byte(signed), public); err == nil && string(raw) != good {
			t.Errorf("%q holds", raw)
		}
	})
}

// FuzzBundle: what holds is of this image and no other.
func FuzzBundle(f *testing.F) {
	m, public := newMaker(f)
	f.Add([]byte(m.EnvelopeBundle(statement(signed, signtest.SignPredicate))))
	f.Add([]byte(m.MessageBundle([]byte(signed))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := sigstore.Bundle(raw, []byte("another"), public); err == nil {
			t.Errorf("%q holds for another image", raw)
		}
		_, _ = sigstore.Bundle(raw, []byte(signed), public) // must not panic
	})
}
