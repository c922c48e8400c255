// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/base64"
	"errors"
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
	// Accept is met by every image, and Reject by none.
	Accept Kind = iota
	Reject
	// Signed asks for a signature by one of the keys.
	Signed
	// Foreign is known to the format and not understood here: no image meets it.
	Foreign
)

// Requirement is one of those that an image must meet.
type Requirement struct {
	Line     int
	Kind     Kind
	Identity Identity
	// What names a requirement that is not understood.
	What string

	paths []string // of files of keys
	datas [][]byte // keys that stand in the policy
}

// ByKeys asks for a signature by one of the keys in files, whatever it calls
// the image.
func ByKeys(files []string) Requirement { return Requirement{Kind: Signed, paths: files} }

// String says all that the requirement asks for, save the keys themselves.
func (r Requirement) String() string {
	i := r.Identity
	return fmt.Sprintf("%d %q %s %q %q %q", r.Kind, r.What, i.kind, i.name, i.prefix, i.signed)
}

// Keys reads the keys.
func (r Requirement) Keys() ([]keys.Key, error) {
	var list []keys.Key
	for _, path := range r.paths {
		raw, err := fsat.ReadNamed(path, keys.MaxFile)
		if err != nil {
			return nil, err
		}
		found, err := keys.ParsePEM(raw)
		if err != nil {
			return nil, fmt.Errorf("key file %s: %w", path, err)
		}
		list = append(list, found...)
	}
	for _, raw := range r.datas {
		found, err := keys.ParsePEM(raw)
		if err != nil {
			return nil, fmt.Errorf("key in the policy: %w", err)
		}
		list = append(list, found...)
	}
	return list, nil
}

func parseRequirement(v *jsontree.Value) (Requirement, error) {
	r := Requirement{Line: v.Line}
	switch kind := v.TextAt("type"); kind {
	case "insecureAcceptAnything":
		return r, v.Exactly("type")
	case "reject":
		r.Kind = Reject
		return r, v.Exactly("type")
	case "signedBy":
		r.Kind, r.What = Foreign, "signedBy, a signature by OpenPGP"
		return r, parseSignedBy(v)
	case "signedBaseLayer":
		r.Kind, r.What = Foreign, kind
		if err := v.Exactly("type", "baseLayerIdentity"); err != nil {
			return r, err
		}
		_, err := parseIdentity(v.Get("baseLayerIdentity"))
		return r, err
	case "sigstoreSigned":
		r.Kind = Signed
		return r, r.parseSigstore(v)
	default:
		return r, v.Errorf("the requirement %.100q is not known", kind)
	}
}

// parseSignedBy checks what is not understood: a file that makes no sense is
// refused whoever reads it.
func parseSignedBy(v *jsontree.Value) error {
	if err := v.Only("type", "keyType", "keyPath", "keyPaths", "keyData", "signedIdentity"); err != nil {
		return err
	}
	known := []string{"GPGKeys", "signedByGPGKeys", "X509Certificates", "signedByX509CAs"}
	if t := v.TextAt("keyType"); !slices.Contains(known, t) {
		return v.Errorf("the keyType %.100q is not known", t)
	}
	if _, err := one(v, "keyPath", "keyPaths", "keyData"); err != nil {
		return err
	}
	var unused Requirement
	if err := unused.parseKeys(v); err != nil {
		return err
	}
	_, err := parseIdentity(v.Get("signedIdentity"))
	return err
}

// rekor are the members that ask for an entry in a transparency log.
func rekor() []string {
	return []string{"rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas"}
}

func (r *Requirement) parseSigstore(v *jsontree.Value) (err error) {
	sources := []string{"keyPath", "keyPaths", "keyData", "keyDatas", "fulcio", "pki"}
	if err := v.Only(slices.Concat([]string{"type", "signedIdentity"}, sources, rekor())...); err != nil {
		return err
	}
	if r.Identity, err = parseIdentity(v.Get("signedIdentity")); err != nil {
		return err
	}
	source, err := one(v, sources...)
	if err != nil {
		return err
	}
	logged := ""
	for _, name := range rekor() {
		if v.Get(name) == nil {
			continue
		}
		if logged != "" {
			return v.Errorf("there are %s and %s, of which there may be one", logged, name)
		}
		logged = name
	}
	switch {
	case source == "fulcio" && logged == "":
		return v.Errorf("fulcio goes with a rekorPublicKey only")
	case source == "pki" && logged != "":
		return v.Errorf("pki and %s do not go together", logged)
	case source == "fulcio":
		r.Kind, r.What = Foreign, "fulcio, a keyless signature"
		return parseFulcio(v.Get(source))
	case source == "pki":
		r.Kind, r.What = Foreign, "pki, a signature by a certificate"
		return parsePKI(v.Get(source))
	case logged != "":
		r.Kind, r.What = Foreign, logged+", an entry in a transparency log"
	}
	return r.parseKeys(v)
}

// one is the member that is there, of which there must be exactly one.
func one(v *jsontree.Value, names ...string) (string, error) {
	there := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return v.Get(name) == nil })
	if len(there) != 1 {
		return "", v.Errorf("there must be exactly one of %s", strings.Join(names, ", "))
	}
	return there[0], nil
}

func (r *Requirement) parseKeys(v *jsontree.Value) error {
	paths, err := texts(v, "keyPath", "keyPaths")
	if err != nil {
		return err
	}
	datas, err := texts(v, "keyData", "keyDatas")
	if err != nil {
		return err
	}
	r.paths = paths
	for _, text := range datas {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(raw) == 0 {
			return v.Errorf("keyData is no base64")
		}
		r.datas = append(r.datas, raw)
	}
	return nil
}

// texts are a string by one name, or a list of some by the other.
func texts(v *jsontree.Value, single, several string) ([]string, error) {
	if s := v.Get(single); s != nil {
		text, err := s.Text()
		if err == nil && text == "" {
			err = s.Errorf("%s is empty", single)
		}
		return []string{text}, err
	}
	l := v.Get(several)
	if l == nil {
		return nil, nil
	}
	items, err := l.List()
	if err == nil && len(items) == 0 {
		err = l.Errorf("%s is empty", several)
	}
	var list []string
	for _, item := range items {
		text, textErr := item.Text()
		err = errors.Join(err, textErr)
		list = append(list, text)
	}
	return list, err
}

func parseFulcio(v *jsontree.Value) error {
	if err := v.Only("caPath", "caData", "oidcIssuer", "subjectEmail"); err != nil {
		return err
	}
	if _, err := one(v, "caPath", "caData"); err != nil {
		return err
	}
	if v.TextAt("oidcIssuer") == "" || v.TextAt("subjectEmail") == "" {
		return v.Errorf("oidcIssuer and subjectEmail must be there")
	}
	return nil
}

func parsePKI(v *jsontree.Value) error {
	if err := v.Only("caRootsPath", "caRootsData", "caIntermediatesPath", "caIntermediatesData", "subjectHostname", "subjectEmail"); err != nil {
		return err
	}
	if _, err := one(v, "caRootsPath", "caRootsData"); err != nil {
		return err
	}
	if v.Get("caIntermediatesPath") != nil && v.Get("caIntermediatesData") != nil {
		return v.Errorf("there are caIntermediatesPath and caIntermediatesData, of which there may be one")
	}
	if v.TextAt("subjectHostname") == "" && v.TextAt("subjectEmail") == "" {
		return v.Errorf("subjectHostname or subjectEmail must be there")
	}
	return nil
}
