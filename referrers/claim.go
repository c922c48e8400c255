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
	// maxCertificate bounds the text of a certificate that is looked at.
	maxCertificate = 64 << 10
	// maxClaim bounds what is made of it.
	maxClaim = 300
)

// claim notes who says to have made the attachment.
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

// thumbprint is the first of notation's list: that of who signed.
func thumbprint(text string) string {
	var chain []string
	if len(text) > maxCertificate || json.Unmarshal([]byte(text), &chain) != nil || len(chain) == 0 {
		return ""
	}
	return "certificate " + clip(chain[0])
}

// issuers are the extensions in which Fulcio names who vouched for an identity,
// see https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
var (
	issuer    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}
	oldIssuer = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}
)

// certified is the identity in a certificate, as PEM, that nobody verified; "" if
// it cannot be read.
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

func clip(s string) string {
	if len(s) <= maxClaim {
		return s
	}
	return strings.ToValidUTF8(s[:maxClaim], "") + "..."
}
