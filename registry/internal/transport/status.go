// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/layerctl/layerctl/registry/internal/failure"
)

// MaxErrorBody bounds how many bytes of an error's answer are read.
const MaxErrorBody = 64 << 10

// StatusError is an answer whose status is not 2xx. It matches [failure.NotFound] for
// 404 and 410, [failure.Denied] for 401, 403 and 407, and [failure.Network] for others.
type StatusError struct {
	Method string
	URL    string // without the user, and with "…" in place of a query
	Status int
	// Message is the server's own message, escaped and cut to one line; "" where it
	// sent none.
	Message string
	// HTTPS says that the server was asked over http and wants https.
	HTTPS bool
	// RetryAfter is how long the server asks to wait; 0 if it does not ask.
	RetryAfter time.Duration
}

// Error is one line.
func (e *StatusError) Error() string {
	s := fmt.Sprintf("%s %s: %d %s", e.Method, e.URL, e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Unwrap returns the sentinel that the status stands for.
func (e *StatusError) Unwrap() error {
	switch e.Status {
	case http.StatusNotFound, http.StatusGone:
		return failure.NotFound
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return failure.Denied
	}
	return failure.Network
}

// NewStatusError makes the error of an answer, whose body it reads and closes. now is
// the time to which a date in Retry-After is compared.
func NewStatusError(resp *http.Response, now time.Time) *StatusError {
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, MaxErrorBody))
	return &StatusError{
		Method:     resp.Request.Method,
		URL:        Redact(resp.Request.URL),
		Status:     resp.StatusCode,
		Message:    diagnosis(body),
		HTTPS:      asksForHTTPS(resp.Request.URL.Scheme, resp.StatusCode, string(body)),
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), now),
	}
}

// diagnosis returns the message in an error's body. The form of registries is
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
// and some token servers use "details".
func diagnosis(body []byte) string {
	var e struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
		Details string `json:"details"`
	}
	if json.Unmarshal(body, &e) != nil {
		return plainText(string(body))
	}
	var said []string
	for _, d := range e.Errors {
		said = append(said, strings.Trim(d.Code+": "+d.Message, ": "))
	}
	if e.Details != "" {
		said = append(said, e.Details)
	}
	return failure.OneLine(strings.Join(said, "; "))
}

// plainText returns a body that is no JSON as a message; "" for a page in HTML.
func plainText(s string) string {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "<") {
		return ""
	}
	return failure.OneLine(s)
}

// Redact returns u without what may be secret: the user and the fragment are left out,
// and "…" stands for a query.
func Redact(u *url.URL) string {
	r := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	s := r.String()
	if u.RawQuery != "" {
		s += "?…"
	}
	return s
}

// retryAfter reads the header Retry-After, seconds or a date, see
// https://www.rfc-editor.org/rfc/rfc9110#name-retry-after. 0 means that it says nothing.
func retryAfter(s string, now time.Time) time.Duration {
	if s == "" {
		return 0
	}
	if d, err := time.ParseDuration(s + "s"); err == nil && failure.Digits(s) {
		return d
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}
