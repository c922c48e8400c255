// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// explained is a cause with a shorter text than the standard library's.
type explained struct {
	text  string
	cause error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.cause }

// Explain gives an error of the standard library a shorter text, where that says
// better why no answer came: without the address of the DNS server, and with the
// times of a certificate. Other errors stay as they are.
func Explain(err error) error {
	var name *net.DNSError
	var certificate x509.CertificateInvalidError
	switch {
	case errors.Is(err, io.EOF):
		return &explained{"the connection ended before there was an answer", err}
	case errors.As(err, &name) && name.IsNotFound:
		return &explained{fmt.Sprintf("the name %s does not resolve", name.Name), err}
	case errors.As(err, &name):
		return &explained{fmt.Sprintf("the name %s does not resolve: %s", name.Name, name.Err), err}
	case errors.As(err, &certificate) && certificate.Reason == x509.Expired:
		return &explained{outOfTime(certificate.Cert, time.Now()), err}
	}
	return err
}

// outOfTime says when the certificate is valid and what the clock says.
func outOfTime(c *x509.Certificate, now time.Time) string {
	const day = "2006-01-02"
	if now.Before(c.NotBefore) {
		return fmt.Sprintf("the certificate is valid from %s on, and the clock says %s", c.NotBefore.UTC().Format(day), now.UTC().Format(day))
	}
	return fmt.Sprintf("the certificate was valid until %s, and the clock says %s", c.NotAfter.UTC().Format(day), now.UTC().Format(day))
}
