// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxErrorBody bounds what is read of an answer that says no.
const maxErrorBody = 64 << 10

// maxErrorText bounds what an error repeats of it: one line.
const maxErrorText = 300

// StatusError is an answer that says no. It matches [ErrNotFound] for 404 and
// 410, [ErrDenied] for 401, 403 and 407, and [ErrNetwork] for all else.
type StatusError struct {
	Method string
	URL    string // without user and query
	Status int
	// Message is what the server said, escaped and cut to one short line.
	Message string
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
		return ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return ErrDenied
	}
	return ErrNetwork
}

// newStatusError reads and closes the body.
func newStatusError(resp *http.Response, now time.Time) *StatusError {
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	return &StatusError{
		Method:     resp.Request.Method,
		URL:        redact(resp.Request.URL),
		Status:     resp.StatusCode,
		Message:    diagnosis(body),
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
	return oneLine(strings.Join(said, "; "))
}

// plainText leaves out what is a page for a browser.
func plainText(s string) string {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "<") {
		return ""
	}
	return oneLine(s)
}

// oneLine escapes what a terminal would act on and cuts what is long.
func oneLine(s string) string {
	cut := len(s) > maxErrorText
	s = s[:min(len(s), maxErrorText)]
	s = fmt.Sprintf("%+q", s)
	s = strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`)
	if cut {
		s += "…"
	}
	return s
}

// redact is u without what may be secret: user, query and fragment.
func redact(u *url.URL) string {
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
	if d, err := time.ParseDuration(s + "s"); err == nil && digits(s) {
		return d
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
