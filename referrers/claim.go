// SPDX-License-Identifier: Apache-2.0

package referrers

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"strings"

	"github.com/layerctl/layerctl/manifest"
)

const (
	// maxCertificate bounds the bytes of a certificate that is parsed.
	maxCertificate = 64 << 10
	// maxClaim bounds the bytes of Attachment.Claimed.
	maxClaim = 300
)

// claim sets Claimed.
func (a *Attachment) claim(m *manifest.Manifest) {
	annotations := merged(m.Annotations, a.Blob.Annotations)
	if text := annotations[keyCertificate]; text != "" {
		a.Claimed = certified(text)
		return
	}
	if text := annotations[keyThumbprints]; text != "" && a.Form == "notation" {
		a.Claimed = thumbprint(text)
	}
}

// thumbprint returns the first certificate of notation's list, which is the signer's.
func thumbprint(text string) string {
	var chain []string
	if len(text) > maxCertificate || json.Unmarshal([]byte(text), &chain) != nil || len(chain) == 0 {
		return ""
	}
	return "certificate " + clip(chain[0])
}

// issuer and oldIssuer are the extensions in which Fulcio names who has confirmed an
// identity, see https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
var (
	issuer    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}
	oldIssuer = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}
)

// certified returns the identity in a certificate in PEM, and in parentheses who has
// confirmed it. Nothing is verified. It returns "" if there is none, or the certificate
// cannot be read.
func certified(text string) string {
	if len(text) > maxCertificate {
		return ""
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return ""
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return ""
	}
	names := append([]string{}, cert.EmailAddresses...)
	for _, u := range cert.URIs {
		names = append(names, u.String())
	}
	names = append(names, cert.DNSNames...)
	if len(names) == 0 && cert.Subject.CommonName != "" {
		names = []string{cert.Subject.CommonName}
	}
	who := strings.Join(names, ", ")
	if by := vouched(cert); by != "" && who != "" {
		who += " (" + by + ")"
	}
	return clip(who)
}

// vouched returns who has confirmed the identity in a certificate; "" for none.
func vouched(cert *x509.Certificate) string {
	var by string
	for _, e := range cert.Extensions {
		switch {
		case e.Id.Equal(issuer):
			var text string
			if rest, err := asn1.Unmarshal(e.Value, &text); err == nil && len(rest) == 0 {
				return text
			}
		case e.Id.Equal(oldIssuer):
			by = string(e.Value)
		}
	}
	return by
}

// clip cuts a text at maxClaim bytes.
func clip(s string) string {
	if len(s) <= maxClaim {
		return s
	}
	return strings.ToValidUTF8(s[:maxClaim], "") + "..."
}
