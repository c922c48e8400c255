// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/layerctl/layerctl/registry"
)

func TestFailureText(t *testing.T) {
	a, b := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	for _, test := range []struct{ name, typed, text, want string }{
		{"no name", "localhost:5000/x", a + ": is no JSON", "localhost:5000/x: sha256:aaaaaaaaaaaa: is no JSON"},
		{"in full", "alpine", `read docker.io/library/alpine:latest: GET https://h/v2/library/alpine/manifests/latest: 404`, "read alpine: GET https://h/v2/library/alpine/manifests/latest: 404"},
		{"quoted", "alpine:3.20", `look up "docker.io/library/alpine:3.20": not found`, `look up "alpine:3.20": not found`},
		{"twice", "alpine", "look into docker.io/library/alpine:latest: read docker.io/library/alpine:latest: gone", "look into alpine: read: gone"},
		{"a digest three times", "h.io/x", "pull h.io/x:latest: layer 1/1 " + a + ": open blob " + a + ": GET http://h/v2/x/blobs/" + a + ": 404", "pull h.io/x: layer 1/1 sha256:aaaaaaaaaaaa: open blob: GET http://h/v2/x/blobs/…: 404"},
		{"a mismatch", "h.io/x", "pull h.io/x:latest: layer " + a + ": read blob: " + a + " does not match: from h came " + b, "pull h.io/x: layer sha256:aaaaaaaaaaaa: read blob: it does not match: from h came sha256:bbbbbbbbbbbb"},
		{"a digest as typed", "alpine@" + a, "read docker.io/library/alpine@" + a + ": GET https://h/v2/library/alpine/manifests/" + a + ": 404", "read alpine@" + a + ": GET https://h/v2/library/alpine/manifests/…: 404"},
		{"a layout", "oci:/srv/x", "open oci:/srv/x: stat /srv/x: no such file", "open oci:/srv/x: stat /srv/x: no such file"},
		{"nobody's", "", "read the list: " + b, "read the list: sha256:bbbbbbbbbbbb"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := errors.New(test.text)
			if test.typed != "" {
				err = Concerns(test.typed, err)
			}
			if got := Line(fmt.Errorf("%w", err), false); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	long := Concerns("h.io/x", errors.New("layer "+a))
	if got, want := Line(long, true), "h.io/x: layer "+a; got != want {
		t.Errorf("verbose: got %s, want %s", got, want)
	}
}

// A hint is for the cause: not every failure of the network passes.
func TestHintFitsTheCause(t *testing.T) {
	network := func(err error) error { return fmt.Errorf("%w: %w", registry.ErrNetwork, err) }
	for want, err := range map[string]error{
		"spelled right":             network(&net.OpError{Op: "dial", Err: &net.DNSError{Name: "x", IsNotFound: true}}),
		"nothing listens":           network(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}),
		"when the network is there": network(&net.OpError{Op: "read", Err: syscall.ETIMEDOUT}),
		"layerctl ping":             network(errors.New("the registry says Content-Encoding: gzip")),
	} {
		if got := Hint(err); !strings.Contains(got, want) {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
}
