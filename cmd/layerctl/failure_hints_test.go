// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/registry"
)

func TestFailureText(t *testing.T) {
	a, b := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	for _, test := range []struct{ name, typed, text, want string }{
		{"no name", "localhost:5000/x", a + ": is no JSON", "localhost:5000/x: sha256:aaaaaaaaaaaa: is no JSON"},
		{"in full", "alpine", `read docker.io/library/alpine:latest: GET https://h/v2/library/alpine/manifests/latest: 404`, "read alpine: GET https://h/v2/library/alpine/manifests/latest: 404"},
		{"quoted", "alpine:3.20", `look up "docker.io/library/alpine:3.20": not found`, `look up "alpine:3.20": not found`},
		{"twice", "alpine", "look into docker.io/library/alpine:latest: read docker.io/library/alpine:latest: gone", "look into alpine: read: gone"},
		{"twice side by side", "h.io/x", "inspect h.io/x:latest: h.io/x:latest: not there", "inspect h.io/x: not there"},
		{"a digest three times", "h.io/x", "pull h.io/x:latest: layer 1/1 " + a + ": open blob " + a + ": GET http://h/v2/x/blobs/" + a + ": 404", "pull h.io/x: layer 1/1 sha256:aaaaaaaaaaaa: open blob: GET http://h/v2/x/blobs/…: 404"},
		{"a mismatch", "h.io/x", "pull h.io/x:latest: layer " + a + ": read blob: " + a + " does not match: from h came " + b, "pull h.io/x: layer sha256:aaaaaaaaaaaa: read blob: it does not match: from h came sha256:bbbbbbbbbbbb"},
		{"a digest as typed", "alpine@" + a, "read docker.io/library/alpine@" + a + ": GET https://h/v2/library/alpine/manifests/" + a + ": 404", "read alpine@" + a + ": GET https://h/v2/library/alpine/manifests/…: 404"},
		{"a layout", "oci:/srv/x", "open oci:/srv/x: stat /srv/x: no such file", "open oci:/srv/x: stat /srv/x: no such file"},
		{"names to choose from", "oci:/x", "read oci:/x: there are several: there are [\"a\" \"@" + a + "\"]", "read oci:/x: there are several: there are [\"a\" \"@" + a + "\"]"},
		{"quoted the second time", "x:@1", "inspect x:@1: invalid reference \"x:@1\": no tag", "inspect x:@1: invalid reference: no tag"},
		{"nobody's", "", "read the list: " + b, "read the list: sha256:bbbbbbbbbbbb"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := errors.New(test.text)
			if test.typed != "" {
				err = failure.Concerns(test.typed, err)
			}
			if got := failure.Line(fmt.Errorf("%w", err), false); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	long := failure.Concerns("h.io/x", errors.New("layer "+a))
	if got, want := failure.Line(long, true), "h.io/x: layer "+a; got != want {
		t.Errorf("verbose: got %s, want %s", got, want)
	}
}

// A hint is for the cause: not every failure of the network passes.
func TestHintFitsTheCause(t *testing.T) {
	network := func(err error) error { return fmt.Errorf("%w: %w", registry.ErrNetwork, err) }
	for want, err := range map[string]error{
		"spelled right":   network(&net.OpError{Op: "dial", Err: &net.DNSError{Name: "x", IsNotFound: true}}),
		"nothing listens": network(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}),
		"--stall-timeout": network(&net.OpError{Op: "read", Err: syscall.ETIMEDOUT}),
		"below 1024":      &net.OpError{Op: "listen", Err: syscall.EACCES},
		"HTTPS_PROXY":     network(&net.OpError{Op: "dial", Err: syscall.ENETUNREACH}),
	} {
		if got := failure.Hint(err); !strings.Contains(got, want) {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
}

// Where the cause is not known there is no hint.
func TestNoHintWithoutACause(t *testing.T) {
	for _, err := range []error{
		errors.New("something"),
		fmt.Errorf("%w: %w", registry.ErrNetwork, errors.New("the registry says Content-Encoding: gzip")),
		&fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC},
		&fs.PathError{Op: "read", Path: "x", Err: syscall.EIO},
		&net.OpError{Op: "listen", Err: syscall.EPROTONOSUPPORT},
	} {
		if got := failure.Hint(err); got != "" {
			t.Errorf("%v: got %q, want none", err, got)
		}
	}
}

// A time to wait is rounded up, in the unit that people would take.
func TestHintOfARateLimit(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second: "1 second", 90 * time.Second: "90 seconds", 35 * time.Minute: "35 minutes",
		119*time.Minute + time.Second: "120 minutes", 5*time.Hour + time.Minute: "6 hours",
	} {
		err := fmt.Errorf("%w: %w", registry.ErrNetwork, &registry.StatusError{Status: http.StatusTooManyRequests, RetryAfter: d})
		if got := failure.Hint(err); !strings.Contains(got, "takes more in "+want+"; ") {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}
