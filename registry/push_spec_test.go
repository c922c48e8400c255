// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
)

// reply is what a registry says to one request.
type reply struct {
	status int
	header []string // "Name: value"
}

// wire is a registry that answers from a list, and writes down what it is sent.
type wire struct {
	answers []reply
	mu      sync.Mutex
	sent    []string
}

// ServeHTTP implements http.Handler. HEAD finds nothing.
func (s *wire) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if r.Method == http.MethodHead || err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	line := r.Method + " " + r.RequestURI
	for _, name := range []string{"Content-Type", "Content-Range"} {
		if v := r.Header.Get(name); v != "" {
			line += " " + v
		}
	}
	if r.Body != http.NoBody {
		line += fmt.Sprint(" ", n)
	}
	s.sent = append(s.sent, line)
	if len(s.answers) == 0 {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	for _, h := range a.header {
		name, value, _ := strings.Cut(h, ": ")
		w.Header().Set(name, strings.ReplaceAll(value, "HOST", r.Host))
	}
	w.WriteHeader(a.status)
}

// to opens a repository of the registry.
func (s *wire) to(t *testing.T, retries int) *Destination {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	ref, err := Parse(host + "/a")
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(quick(Options{PlainHTTP: []string{host}, Retries: retries})).Destination(ref)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const octets = "application/octet-stream"

// TestUploadOnTheWire has a row for each thing that the distribution
// specification 1.1.1 expects of a client that pushes blobs (its sections
// "Pushing blobs", "Pushing a blob in chunks", "Mounting a blob from another
// repository"), as bytes that a registry sees.
func TestUploadOnTheWire(t *testing.T) {
	t.Parallel()
	small, large := noise(100), noise(3<<20)
	escape := func(body []byte) string { return strings.ReplaceAll(digest.FromBytes(body).String(), ":", "%3A") }
	inSmall, inLarge := escape(small), escape(large)
	const begin = "POST /v2/a/blobs/uploads/"
	opened := func(location string, more ...string) reply {
		return reply{202, append([]string{"Location: " + location}, more...)}
	}
	for _, tt := range []struct {
		name    string
		body    []byte
		from    string
		answers []reply
		sent    []string
		outcome Outcome
		kind    error
	}{
		{
			name: "POST, then PUT: 202, 201", body: small, outcome: Sent,
			answers: []reply{opened("/v2/a/blobs/uploads/1"), {status: 201}},
			sent:    []string{begin, "PUT /v2/a/blobs/uploads/1?digest=" + inSmall + " " + octets + " 100"},
		},
		{
			name: "the Location's query stays as it is written", body: small, outcome: Sent,
			answers: []reply{opened("/elsewhere?_state=a%2Fb%3D&x=+y&x"), {status: 201}},
			sent:    []string{begin, "PUT /elsewhere?_state=a%2Fb%3D&x=+y&x&digest=" + inSmall + " " + octets + " 100"},
		},
		{
			name: "a Location relative to what was asked", body: small, outcome: Sent,
			answers: []reply{opened("7?x=1"), {status: 201}},
			sent:    []string{begin, "PUT /v2/a/blobs/uploads/7?x=1&digest=" + inSmall + " " + octets + " 100"},
		},
		{
			name: "an absolute Location", body: small, outcome: Sent,
			answers: []reply{opened("http://HOST/u/1"), {status: 201}},
			sent:    []string{begin, "PUT /u/1?digest=" + inSmall + " " + octets + " 100"},
		},
		{
			name: "the next request goes to the last Location", body: large, outcome: Sent,
			answers: []reply{opened("/u/1"), opened("/u/2", "Range: 0-3145727"), {status: 201}},
			sent:    []string{begin, "PATCH /u/1 " + octets + " 3145728", "PUT /u/2?digest=" + inLarge + " " + octets},
		},
		{
			name: "chunks in order, each from where the registry has come to", body: large, outcome: Sent,
			answers: []reply{opened("/u/1"), opened("/u/2", "Range: 0-1048575"), opened("/u/3", "Range: 0-2097151"), opened("/u/4", "Range: 0-3145727"), {status: 201}},
			sent: []string{
				begin, "PATCH /u/1 " + octets + " 3145728", "PATCH /u/2 " + octets + " 1048576-3145727 2097152",
				"PATCH /u/3 " + octets + " 2097152-3145727 1048576", "PUT /u/4?digest=" + inLarge + " " + octets,
			},
		},
		{
			name: "416: the registry is asked how much it has", body: large, outcome: Sent,
			answers: []reply{opened("/u/1"), {status: 416}, {204, []string{"Location: /u/2", "Range: 0-2097151"}}, opened("/u/3", "Range: 0-3145727"), {status: 201}},
			sent: []string{
				begin, "PATCH /u/1 " + octets + " 3145728", "GET /u/1", "PATCH /u/2 " + octets + " 2097152-3145727 1048576",
				"PUT /u/3?digest=" + inLarge + " " + octets,
			},
		},
		{
			name: "no chunk is shorter than OCI-Chunk-Min-Length, but the last", body: large, outcome: Sent,
			answers: []reply{opened("/u/1", "OCI-Chunk-Min-Length: 2621440"), {status: 416}, {204, []string{"Location: /u/2", "Range: 0-0"}}, opened("/u/3", "Range: 0-2621439"), opened("/u/4", "Range: 0-3145727"), {status: 201}},
			sent: []string{
				begin, "PATCH /u/1 " + octets + " 3145728", "GET /u/1", "PATCH /u/2 " + octets + " 0-2621439 2621440",
				"PATCH /u/3 " + octets + " 2621440-3145727 524288", "PUT /u/4?digest=" + inLarge + " " + octets,
			},
		},
		{
			name: "a mount that is made", body: small, from: "b", outcome: Mounted,
			answers: []reply{{201, []string{"Location: /v2/a/blobs/x"}}},
			sent:    []string{begin + "?from=b&mount=" + inSmall},
		},
		{
			name: "a mount that turns into an upload", body: small, from: "b", outcome: Sent,
			answers: []reply{opened("/u/9"), {status: 201}},
			sent:    []string{begin + "?from=b&mount=" + inSmall, "PUT /u/9?digest=" + inSmall + " " + octets + " 100"},
		},
		{
			name: "an upload that is forgotten begins anew", body: large, outcome: Sent,
			answers: []reply{opened("/u/1"), {status: 404}, opened("/u/2"), opened("/u/2", "Range: 0-3145727"), {status: 201}},
			sent:    []string{begin, "PATCH /u/1 " + octets + " 3145728", begin, "PATCH /u/2 " + octets + " 3145728", "PUT /u/2?digest=" + inLarge + " " + octets},
		},
		{
			name: "another Docker-Content-Digest is an error", body: small, kind: errkind.Mismatch,
			answers: []reply{opened("/u/1"), {201, []string{"Docker-Content-Digest: " + digest.FromString("other").String()}}},
			sent:    []string{begin, "PUT /u/1?digest=" + inSmall + " " + octets + " 100"},
		},
		{
			name: "a registry that has more than it was sent is not believed", body: large, kind: errkind.Network,
			answers: []reply{opened("/u/1"), opened("/u/2", "Range: 0-9999999")},
			sent:    []string{begin, "PATCH /u/1 " + octets + " 3145728"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &wire{answers: tt.answers}
			retries := 3
			if tt.kind != nil {
				retries = -1
			}
			var n int
			u := uploadOf(tt.body, &n)
			u.From = tt.from
			got, err := s.to(t, retries).Put(t.Context(), u)
			if got != tt.outcome || (tt.kind == nil) != (err == nil) || err != nil && !isKind(err, tt.kind) {
				t.Errorf("got %v, %v", got, err)
			}
			if !slices.Equal(s.sent, tt.sent) {
				t.Errorf("sent\n%s\nwant\n%s", strings.Join(s.sent, "\n"), strings.Join(tt.sent, "\n"))
			}
		})
	}
}

func isKind(err, kind error) bool { return errkind.Of(err) == kind }

// TestManifestOnTheWire is the same for manifests ("Pushing manifests"), with
// what a registry says of subjects.
func TestManifestOnTheWire(t *testing.T) {
	subject := digest.FromString("subject")
	raw := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `","subject":{}}`)
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	for _, tt := range []struct {
		name, tag string
		answer    reply
		put       string
		subject   digest.Digest
		kind      error
	}{
		{name: "by tag", tag: "1", answer: reply{status: 201}, put: "1"},
		{name: "by digest", answer: reply{status: 201}, put: desc.Digest.String()},
		{name: "OCI-Subject", answer: reply{201, []string{"OCI-Subject: " + subject.String()}}, put: desc.Digest.String(), subject: subject},
		{name: "another Docker-Content-Digest", tag: "1", answer: reply{201, []string{"Docker-Content-Digest: " + subject.String()}}, put: "1", kind: errkind.Mismatch},
		{name: "404 of what it names", tag: "1", answer: reply{status: 404}, put: "1", kind: errkind.NotFound},
		{name: "413", tag: "1", answer: reply{status: 413}, put: "1", kind: errkind.Denied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &wire{answers: []reply{tt.answer}}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					_, _ = w.Write(raw) // read back
					return
				}
				s.ServeHTTP(w, r)
			}))
			defer server.Close()
			host := strings.TrimPrefix(server.URL, "http://")
			ref, err := Parse(host + "/a")
			if err != nil {
				t.Fatal(err)
			}
			d, err := New(quick(Options{PlainHTTP: []string{host}, Retries: -1})).Destination(ref)
			if err != nil {
				t.Fatal(err)
			}
			got, err := d.PutManifest(context.Background(), desc, raw, tt.tag)
			if got != tt.subject || (tt.kind == nil) != (err == nil) || err != nil && !isKind(err, tt.kind) {
				t.Errorf("got %q, %v", got, err)
			}
			want := []string{fmt.Sprintf("PUT /v2/a/manifests/%s %s %d", tt.put, ocispec.MediaTypeImageManifest, len(raw))}
			if !slices.Equal(s.sent, want) {
				t.Errorf("sent %q, want %q", s.sent, want)
			}
		})
	}
}
