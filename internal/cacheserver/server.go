// SPDX-License-Identifier: Apache-2.0

package cacheserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/registry"
)

// Options say how a cache is served. The zero value serves everybody at any rate.
type Options struct {
	// Users lists who may send requests; nil means everybody.
	Users *Users
	// Rate bounds the bytes of manifests and blobs that are sent in a second, over all
	// connections together; 0 means no bound.
	Rate int64
	// Logger is told of each request; nil is silent.
	Logger *slog.Logger
}

// Server is an [http.Handler] that serves a cache.
type Server struct {
	cache *cache.Cache
	users *Users
	pace  *pace
	log   *slog.Logger

	mu       sync.Mutex
	subjects map[digest.Digest]*attached // what was read of blobs; nil for one without a subject
}

// New returns a Server of an open cache, which must stay open.
func New(c *cache.Cache, o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{cache: c, users: o.Users, pace: &pace{rate: o.Rate}, log: o.Logger, subjects: map[digest.Digest]*attached{}}
}

// maxTarget bounds the bytes of a request's path and query. A name has at most 255.
const maxTarget = 2048

// fault is an error in the form of the distribution specification.
type fault struct {
	status        int
	code, message string
}

func (f *fault) Error() string { return f.message }

var (
	errUnsupported = &fault{http.StatusNotFound, "UNSUPPORTED", "there is no such thing here"}
	errName        = &fault{http.StatusNotFound, "NAME_UNKNOWN", "the name makes no sense"}
	errManifest    = &fault{http.StatusNotFound, "MANIFEST_UNKNOWN", "the cache has no such manifest"}
	errBlob        = &fault{http.StatusNotFound, "BLOB_UNKNOWN", "the cache has no such blob"}
	errDigest      = &fault{http.StatusBadRequest, "DIGEST_INVALID", "that is no digest"}
	errRange       = &fault{http.StatusRequestedRangeNotSatisfiable, "SIZE_INVALID", "the blob has no such part"}
)

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.log.Debug("request", "from", r.RemoteAddr, "method", r.Method, "target", r.RequestURI[:min(len(r.RequestURI), maxTarget)])
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	err := s.serve(w, r)
	var told *fault
	switch {
	case err == nil:
	case errors.As(err, &told):
		tell(w, r, told)
	case errors.Is(err, cache.ErrMiss):
		tell(w, r, errBlob)
	default:
		s.log.Warn("request failed", "error", err)
		tell(w, r, &fault{http.StatusInternalServerError, "UNKNOWN", "the cache cannot be read"})
	}
}

// tell sends an error.
func tell(w http.ResponseWriter, r *http.Request, f *fault) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.status)
	if r.Method == http.MethodHead {
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": f.code, "message": f.message}}}) // fails if the client has left
}

// serve answers a request, or returns why not.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	if len(r.RequestURI) > maxTarget {
		return &fault{http.StatusRequestURITooLong, "NAME_INVALID", "the request is too long"}
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return &fault{http.StatusMethodNotAllowed, "UNSUPPORTED", "it can only be read"}
	}
	if s.users != nil && !s.users.lets(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="layerctl"`)
		return &fault{http.StatusUnauthorized, "UNAUTHORIZED", "a user and a password are needed"}
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/v2/")
	if r.URL.Path == "/v2" || ok && path == "" {
		w.Header().Set("Content-Type", "application/json")
		_, err := io.WriteString(w, "{}\n")
		return gone(err)
	}
	parts := strings.Split(path, "/")
	if !ok || len(parts) < 3 {
		return errUnsupported
	}
	name, kind, last := strings.Join(parts[:len(parts)-2], "/"), parts[len(parts)-2], parts[len(parts)-1]
	switch kind {
	case "manifests":
		return s.manifest(w, r, name, last)
	case "blobs":
		return s.blob(w, r, name, last)
	case "referrers":
		return s.referrers(w, r, name, last)
	}
	return errUnsupported
}

// gone drops the error of an answer that the client did not wait for.
func gone(error) error { return nil }

// parseDigest reads a digest that blobs in a cache may have.
func parseDigest(text string) (digest.Digest, error) {
	d, err := digest.Parse(text)
	if err != nil || d.Algorithm() != digest.SHA256 && d.Algorithm() != digest.SHA512 {
		return "", errDigest
	}
	return d, nil
}

// manifest serves an index or a manifest, by tag or by digest.
func (s *Server) manifest(w http.ResponseWriter, r *http.Request, name, reference string) error {
	desc, err := s.find(name, reference, r.URL.Query().Get("ns"))
	var raw []byte
	if err == nil && desc.Size <= manifest.MaxManifestSize {
		raw, err = s.cache.Bytes(desc, manifest.MaxManifestSize)
	}
	if errors.Is(err, cache.ErrMiss) {
		return errManifest
	}
	if err != nil {
		return err
	}
	// The media type comes from the bytes, which are verified.
	mediaType := manifest.MediaTypeOf(raw)
	if !manifest.IsIndex(mediaType) && !manifest.IsManifest(mediaType) {
		return errManifest
	}
	describe(w, desc, mediaType)
	if r.Method == http.MethodHead {
		return nil
	}
	s.pace.wait(r.Context(), len(raw))
	s.extend(w)
	_, err = w.Write(raw)
	return gone(err)
}

// find returns the descriptor of what a tag or a digest in a repository means.
func (s *Server) find(name, reference, ns string) (ocispec.Descriptor, error) {
	if !strings.Contains(reference, ":") {
		return s.tagged(name, reference, ns)
	}
	d, err := parseDigest(reference)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if !s.knows(name) {
		return ocispec.Descriptor{}, errName
	}
	return s.cache.Find(d)
}

// describe sets the headers of a manifest or a blob.
func describe(w http.ResponseWriter, desc ocispec.Descriptor, mediaType string) {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", fmt.Sprint(desc.Size))
	h.Set("Docker-Content-Digest", desc.Digest.String())
	h.Set("ETag", `"`+desc.Digest.String()+`"`)
}

// knows reports whether a name can be that of a repository.
func (s *Server) knows(name string) bool {
	_, err := registry.Parse("localhost/" + name)
	return err == nil
}

// tagged returns the descriptor of what a tag of a repository means. Its registry is ns, the
// parameter by which containerd tells it; or else the beginning of the name, if that is a
// host; or else any registry, if all that have the tag in the cache mean the same.
func (s *Server) tagged(name, tag, ns string) (ocispec.Descriptor, error) {
	for _, host := range []string{ns, ""} {
		if host == "" && ns != "" {
			continue
		}
		full := name + ":" + tag
		if host != "" {
			full = host + "/" + full
		} else if first, _, _ := strings.Cut(name, "/"); !strings.ContainsAny(first, ".:") && first != "localhost" {
			continue
		}
		ref, err := registry.Parse(full)
		if err != nil || ref.Tag() != tag || ref.Digest() != "" || ref.Transport() != registry.Docker {
			return ocispec.Descriptor{}, errName
		}
		desc, err := s.cache.Lookup(ref.String())
		if err == nil || ns != "" || !errors.Is(err, cache.ErrMiss) {
			return s.sized(desc, err)
		}
	}
	return s.anywhere(name, tag)
}

// sized returns the descriptor with the size of its blob, for that in index.json may be
// wrong.
func (s *Server) sized(desc ocispec.Descriptor, err error) (ocispec.Descriptor, error) {
	if err != nil {
		return desc, err
	}
	return s.cache.Find(desc.Digest)
}

// anywhere returns the descriptor of what a tag of a repository means in any registry. If
// it means different things in several, there is none.
func (s *Server) anywhere(name, tag string) (ocispec.Descriptor, error) {
	if !s.knows(name) {
		return ocispec.Descriptor{}, errName
	}
	all, err := s.cache.Tagged()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	found := ocispec.Descriptor{}
	for _, desc := range all {
		ref, err := registry.Parse(desc.Annotations[ocispec.AnnotationRefName])
		if err != nil || ref.Transport() != registry.Docker || ref.Repository() != name || ref.Tag() != tag || ref.Digest() != "" {
			continue
		}
		if found.Digest != "" && found.Digest != desc.Digest {
			return ocispec.Descriptor{}, errManifest
		}
		found = desc
	}
	if found.Digest == "" {
		return ocispec.Descriptor{}, errManifest
	}
	return s.sized(found, nil)
}

// extend gives the client a minute to take what is written next.
func (s *Server) extend(w http.ResponseWriter) {
	const patience = time.Minute
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience)) // a recorder in tests has no deadline
}
