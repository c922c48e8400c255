// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/layerctl/layerctl/registry/internal/failure"
)

// Pace bounds how slow and how fast bytes come and go.
type Pace struct {
	Stall time.Duration // for how long less than 1 KiB a second may come
	Limit *Limiter      // bounds what comes; nil does not
	Sent  *Limiter      // bounds what is sent; nil does not
}

// Send sends a request. host is the registry as references name it, for errors. Reading
// the body of the answer fails when it stalls, and is no faster than the limit.
func (p Pace) Send(client *http.Client, req *http.Request, host string) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(p.Stall, func() { cancel(errStalled) })
	if req.Body != nil {
		req.Body = &outgoing{ReadCloser: req.Body, ctx: ctx, pace: p, timer: timer}
	}
	resp, err := client.Do(req.WithContext(ctx))
	timer.Stop()
	if err != nil {
		err = unanswered(ctx, req, host, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = newPatient(resp.Body, p.Stall, ctx, cancel)
	if p.Limit != nil {
		resp.Body = &limited{resp.Body, ctx, p.Limit}
	}
	return resp, nil
}

// unanswered says why no answer came, without the query of the URL, which net/http
// names and which may be secret.
func unanswered(sctx context.Context, req *http.Request, host string, err error) error {
	at := req.URL
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
		if u, perr := url.Parse(ue.URL); perr == nil {
			at = u
		}
	}
	if errors.Is(context.Cause(sctx), errStalled) {
		err = errStalled
	}
	object := req.Method + " " + Redact(at)
	if speaksPlainHTTP(err) {
		return failure.Final(fmt.Errorf("%s: %w", object, &PlainHTTPError{Host: host, Peer: at.Host}))
	}
	if speaksHTTPS(err) {
		return failure.Final(fmt.Errorf("%s: %w", object, &HTTPSError{Host: host, Peer: at.Host}))
	}
	wrapped := failure.Unanswered(req.Context(), fmt.Errorf("%s: %w", object, Explain(err)))
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	if IsRefusal(err) || errors.As(err, &cert) || errors.As(err, &unknown) {
		return failure.Final(wrapped)
	}
	return wrapped
}

// PlainHTTPError says that a host that was asked over https speaks http.
type PlainHTTPError struct {
	Host string // the registry, as references name it
	Peer string // the host that speaks http, as the URL has it: the registry or another
}

// Error is one line.
func (e *PlainHTTPError) Error() string { return e.Peer + " speaks http, not https" }

// Unwrap makes it match [failure.Network].
func (e *PlainHTTPError) Unwrap() error { return failure.Network }

// HTTPSError says that a host that was asked over http speaks https.
type HTTPSError struct {
	Host string // the registry, as references name it
	Peer string // the host that speaks https, as the URL has it: the registry or another
}

// Error is one line.
func (e *HTTPSError) Error() string { return e.Peer + " speaks https, not http" }

// Unwrap makes it match [failure.Network].
func (e *HTTPSError) Unwrap() error { return failure.Network }

// speaksHTTPS reports whether a TLS alert (RFC 8446, section 6) came in place of an
// HTTP answer. net/http has no type for that error, but quotes the bytes.
func speaksHTTPS(err error) bool {
	return strings.Contains(err.Error(), `malformed HTTP response "\x15\x03`)
}

// asksForHTTPS reports whether an answer is that of Go's server or nginx to a request
// over http on a port for https.
func asksForHTTPS(scheme string, status int, body string) bool {
	return scheme == "http" && status == http.StatusBadRequest &&
		(strings.Contains(body, "HTTP request to an HTTPS server") || strings.Contains(body, "plain HTTP request was sent to HTTPS port"))
}

// speaksPlainHTTP reports whether an HTTP answer came where TLS was expected.
func speaksPlainHTTP(err error) bool {
	var rec tls.RecordHeaderError
	if errors.As(err, &rec) {
		return string(rec.RecordHeader[:]) == "HTTP/"
	}
	return err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}
