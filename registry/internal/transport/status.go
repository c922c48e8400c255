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

// MaxErrorBody bounds what is read of an answer that says no.
const MaxErrorBody = 64 << 10

// StatusError is an answer that says no. It matches [failure.NotFound] for 404 and
// 410, [failure.Denied] for 401, 403 and 407, and [failure.Network] for all else.
type StatusError struct {
	Method string
	URL    string // without user and query
	Status int
	// Message is what the server said, escaped and cut to one short line.
	Message string
	// HTTPS says that the server wants https to be spoken.
	HTTPS bool
	// RetryAfter is how long the server asks to wait; 0 if it does not.
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

// Unwrap is the sentinel of the status, which has a kind.
func (e *StatusError) Unwrap() error {
	switch e.Status {
	case http.StatusNotFound, http.StatusGone:
		return failure.NotFound
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return failure.Denied
	}
	return failure.Network
}

// NewStatusError reads and closes the body.
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

// diagnosis is what an error body says. The form of registries is
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
// and token servers use "details".
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

// plainText leaves out what is a page for a browser.
func plainText(s string) string {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "<") {
		return ""
	}
	return failure.OneLine(s)
}

// Redact is u without what may be secret: user, query and fragment.
func Redact(u *url.URL) string {
	r := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	s := r.String()
	if u.RawQuery != "" {
		s += "?…"
	}
	return s
}

// retryAfter reads both forms of the header, see
// https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
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
