// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/trust/internal/jsontree"
	"github.com/layerctl/layerctl/trust/internal/keys"
)

// Kind says what a requirement asks for.
type Kind byte

// The kinds.
const (
	// Accept is met by every image.
	Accept Kind = iota
	// Reject is met by no image.
	Reject
	// Signed asks for a signature by one of the keys.
	Signed
	// Foreign is valid, but this package cannot check it: no image meets it.
	Foreign
)

// Requirement is a condition that an image must meet.
type Requirement struct {
	Line     int
	Kind     Kind
	Identity Identity
	// What describes a Foreign requirement, for messages.
	What string

	paths []string // the files of keys
	datas [][]byte // the keys in the policy itself, as PEM
}

// ByKeys returns the requirement of a signature by one of the keys in files, with any
// name.
func ByKeys(files []string) *Requirement { return &Requirement{Kind: Signed, paths: files} }

// String returns all that the requirement asks for, without the keys. It is a part of what
// [trust.Asks] hashes.
func (r *Requirement) String() string {
	i := &r.Identity
	return fmt.Sprintf("%d %q %s %q %q %q", r.Kind, r.What, i.kind, i.name, i.prefix, i.signed)
}

// Keys reads the keys.
func (r *Requirement) Keys() ([]*keys.Key, error) {
	var list []*keys.Key
	for i, raw := range slices.Concat(make([][]byte, len(r.paths)), r.datas) {
		name, err := "in the policy", error(nil)
		if i < len(r.paths) {
			name = "file " + r.paths[i]
			raw, err = fsat.ReadNamed(r.paths[i], keys.MaxFile)
		}
		if err != nil {
			return nil, err
		}
		found, err := keys.ParsePEM(raw)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", name, err)
		}
		list = append(list, found...)
	}
	return list, nil
}

func parseRequirement(v *jsontree.Value) *Requirement {
	r := &Requirement{Line: v.Line}
	switch kind := v.TextAt("type"); kind {
	case "insecureAcceptAnything":
		v.Exactly("type")
	case "reject":
		r.Kind = Reject
		v.Exactly("type")
	case "signedBy":
		r.Kind, r.What = Foreign, "signedBy, a signature by OpenPGP"
		parseSignedBy(v)
	case "signedBaseLayer":
		r.Kind, r.What = Foreign, kind
		v.Exactly("type", "baseLayerIdentity")
		parseIdentity(v.Get("baseLayerIdentity"))
	case "sigstoreSigned":
		r.Kind = Signed
		r.parseSigstore(v)
	default:
		v.Fail("the requirement %.100q is not known", kind)
	}
	return r
}

// parseSignedBy checks a requirement of OpenPGP, although it is not understood: an
// invalid file is refused by all programs that read it.
func parseSignedBy(v *jsontree.Value) {
	v.Only("type", "keyType", "keyPath", "keyPaths", "keyData", "signedIdentity")
	known := []string{"GPGKeys", "signedByGPGKeys", "X509Certificates", "signedByX509CAs"}
	if t := v.TextAt("keyType"); !slices.Contains(known, t) {
		v.Fail("the keyType %.100q is not known", t)
	}
	one(v, "keyPath", "keyPaths", "keyData")
	new(Requirement).parseKeys(v)
	parseIdentity(v.Get("signedIdentity"))
}

// rekor lists the members that ask for an entry in a transparency log.
func rekor() []string {
	return []string{"rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas"}
}

func (r *Requirement) parseSigstore(v *jsontree.Value) {
	sources := []string{"keyPath", "keyPaths", "keyData", "keyDatas", "fulcio", "pki"}
	v.Only(slices.Concat([]string{"type", "signedIdentity"}, sources, rekor())...)
	r.Identity = parseIdentity(v.Get("signedIdentity"))
	source, logged := one(v, sources...), atMostOne(v, rekor()...)
	switch {
	case source == "fulcio":
		if logged == "" {
			v.Fail("fulcio goes with a rekorPublicKey only")
		}
		r.Kind, r.What = Foreign, "fulcio, a keyless signature"
		parseFulcio(v.Get(source))
	case source == "pki":
		if logged != "" {
			v.Fail("pki and %s do not go together", logged)
		}
		r.Kind, r.What = Foreign, "pki, a signature by a certificate"
		parsePKI(v.Get(source))
	default:
		if logged != "" {
			r.Kind, r.What = Foreign, logged+", an entry in a transparency log"
		}
		r.parseKeys(v)
	}
}

// one returns the only member with one of the names. None, or more than one, is a fault.
func one(v *jsontree.Value, names ...string) string {
	present := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return v.Get(name) == nil })
	if len(present) != 1 {
		v.Fail("there must be exactly one of %s", strings.Join(names, ", "))
		return ""
	}
	return present[0]
}

// atMostOne returns the only member with one of the names; "" if there is none. More than
// one is a fault.
func atMostOne(v *jsontree.Value, names ...string) (present string) {
	for _, name := range names {
		switch {
		case v.Get(name) == nil:
		case present != "":
			v.Fail("there are %s and %s, of which there may be one", present, name)
		default:
			present = name
		}
	}
	return present
}

func (r *Requirement) parseKeys(v *jsontree.Value) {
	r.paths = texts(v, "keyPath", "keyPaths")
	for _, text := range texts(v, "keyData", "keyDatas") {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(raw) == 0 {
			v.Fail("keyData is no base64")
		}
		r.datas = append(r.datas, raw)
	}
}

// texts returns the string of one member, or else the list of strings of another.
func texts(v *jsontree.Value, single, several string) []string {
	var list []string
	if s := v.Get(single); s != nil {
		list = append(list, s.Text())
	} else if l := v.Get(several); l != nil {
		for _, item := range l.List() {
			list = append(list, item.Text())
		}
		single = several
	} else {
		return nil
	}
	if len(list) == 0 || list[0] == "" {
		v.Get(single).Fail("%s is empty", single)
	}
	return list
}

func parseFulcio(v *jsontree.Value) {
	v.Only("caPath", "caData", "oidcIssuer", "subjectEmail")
	one(v, "caPath", "caData")
	if v.TextAt("oidcIssuer") == "" || v.TextAt("subjectEmail") == "" {
		v.Fail("oidcIssuer and subjectEmail must be there")
	}
}

func parsePKI(v *jsontree.Value) {
	v.Only("caRootsPath", "caRootsData", "caIntermediatesPath", "caIntermediatesData", "subjectHostname", "subjectEmail")
	one(v, "caRootsPath", "caRootsData")
	atMostOne(v, "caIntermediatesPath", "caIntermediatesData")
	if v.TextAt("subjectHostname") == "" && v.TextAt("subjectEmail") == "" {
		v.Fail("subjectHostname or subjectEmail must be there")
	}
}
