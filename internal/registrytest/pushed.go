// SPDX-License-Identifier: Apache-2.0

package registrytest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
)

// Pushed is a registry over plain HTTP that takes what is pushed to it, as the
// distribution specification has it and no laxer: an upload goes on only at its
// last Location, a chunk only where the one before it ended, a manifest only
// where all that it names is there.
type Pushed struct {
	Host string

	// CutAt breaks each request that brings a body after so many of its bytes; 0
	// never does.
	CutAt int64
	// Forgets has it keep nothing of a request that was cut.
	Forgets bool
	// Mounts lets blobs be mounted from other repositories.
	Mounts bool
	// Referrers has it tell of subjects.
	Referrers bool
	// Before sees each request first, and may answer it: it returns true then.
	Before func(w http.ResponseWriter, r *http.Request) bool

	server   *httptest.Server
	mu       sync.Mutex
	repos    map[string]*pushedRepo
	requests []string
	received int64
	uploads  int
}

// pushedRepo is one repository.
type pushedRepo struct {
	blobs   map[digest.Digest][]byte
	types   map[digest.Digest]string // of manifests
	tags    map[string]digest.Digest
	uploads map[string]*upload
}

// upload is a blob on its way, at one address at a time.
type upload struct {
	data  []byte
	state int
}

// NewPushed starts one; Close ends it.
func NewPushed() *Pushed {
	p := &Pushed{repos: map[string]*pushedRepo{}}
	p.server = httptest.NewServer(p)
	p.server.Config.SetKeepAlivesEnabled(true)
	p.Host = strings.TrimPrefix(p.server.URL, "http://")
	return p
}

// Close stops it.
func (p *Pushed) Close() { p.server.Close() }

// Requests are those since the last call: "PUT app/manifests/latest".
func (p *Pushed) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := p.requests
	p.requests = nil
	return sent
}

// Received is how many bytes of bodies came since the last call.
func (p *Pushed) Received() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.received
	p.received = 0
	return n
}

// Blob is a blob or a manifest of a repository; nil where it is not there.
func (p *Pushed) Blob(repo string, d digest.Digest) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.repo(repo).blobs[d]
}

// Tagged is what a tag names; "" for nothing.
func (p *Pushed) Tagged(repo, tag string) digest.Digest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.repo(repo).tags[tag]
}

func (p *Pushed) repo(name string) *pushedRepo {
	r := p.repos[name]
	if r == nil {
		r = &pushedRepo{map[digest.Digest][]byte{}, map[digest.Digest]string{}, map[string]digest.Digest{}, map[string]*upload{}}
		p.repos[name] = r
	}
	return r
}

// ServeHTTP implements http.Handler.
func (p *Pushed) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if p.Before != nil && p.Before(w, req) {
		return
	}
	body, cut := p.read(req)
	p.mu.Lock()
	defer p.mu.Unlock()
	path := strings.TrimPrefix(req.URL.Path, "/v2/")
	p.requests = append(p.requests, req.Method+" "+path)
	for _, kind := range []string{"/blobs/uploads/", "/blobs/", "/manifests/", "/tags/", "/referrers/"} {
		name, rest, found := strings.Cut(path, kind)
		if !found {
			continue
		}
		repo := p.repo(name)
		switch kind {
		case "/blobs/uploads/":
			p.upload(w, req, name, repo, rest, body, cut)
		case "/blobs/":
			repo.serve(w, req, digest.Digest(rest), false)
		case "/manifests/":
			p.manifest(w, req, repo, rest, body)
		case "/tags/":
			repo.list(w, req, name)
		case "/referrers/":
			p.referrers(w, repo, digest.Digest(rest))
		}
		break
	}
	if cut {
		panic(http.ErrAbortHandler) // hangs up
	}
}

// read reads a body, or as much of it as comes before the cut.
func (p *Pushed) read(req *http.Request) (body []byte, cut bool) {
	from := io.Reader(req.Body)
	if p.CutAt > 0 {
		from = io.LimitReader(req.Body, p.CutAt)
	}
	body, err := io.ReadAll(from)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.received += int64(len(body))
	return body, err != nil || int64(len(body)) < req.ContentLength
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"said by the test"}]}`, code)
}

func (p *Pushed) upload(w http.ResponseWriter, req *http.Request, name string, repo *pushedRepo, id string, body []byte, cut bool) {
	if req.Method == http.MethodPost {
		p.begin(w, req, name, repo)
		return
	}
	u := repo.uploads[id]
	if u == nil || req.URL.Query().Get("state") != strconv.Itoa(u.state) {
		fail(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
		return
	}
	if r := req.Header.Get("Content-Range"); r != "" {
		if want := fmt.Sprintf("%d-%d", len(u.data), int64(len(u.data))+req.ContentLength-1); r != want {
			fail(w, http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID")
			return
		}
	}
	if !cut || !p.Forgets {
		u.data = append(u.data, body...)
	}
	switch {
	case cut:
	case req.Method == http.MethodPatch:
		u.state++
		u.where(w, name, id)
		w.WriteHeader(http.StatusAccepted)
	case req.Method == http.MethodPut:
		d := digest.Digest(req.URL.Query().Get("digest"))
		delete(repo.uploads, id)
		if d.Validate() != nil || d.Algorithm().FromBytes(u.data) != d {
			fail(w, http.StatusBadRequest, "DIGEST_INVALID")
			return
		}
		repo.blobs[d] = u.data
		w.Header().Set("Docker-Content-Digest", d.String())
		w.Header().Set("Location", "/v2/"+name+"/blobs/"+d.String())
		w.WriteHeader(http.StatusCreated)
	default:
		u.where(w, name, id)
		w.WriteHeader(http.StatusNoContent)
	}
}

// where says where the upload goes on: a path with a query, as distribution
// writes it.
func (u *upload) where(w http.ResponseWriter, name, id string) {
	w.Header().Set("Location", fmt.Sprintf("/v2/%s/blobs/uploads/%s?state=%d", name, id, u.state))
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(len(u.data)-1, 0)))
}

func (p *Pushed) begin(w http.ResponseWriter, req *http.Request, name string, repo *pushedRepo) {
	q := req.URL.Query()
	d := digest.Digest(q.Get("mount"))
	if had := p.repo(q.Get("from")).blobs[d]; p.Mounts && d != "" && had != nil {
		repo.blobs[d] = had
		w.Header().Set("Location", "/v2/"+name+"/blobs/"+d.String())
		w.WriteHeader(http.StatusCreated)
		return
	}
	p.uploads++
	id := strconv.Itoa(p.uploads)
	repo.uploads[id] = &upload{}
	repo.uploads[id].where(w, name, id)
	w.WriteHeader(http.StatusAccepted)
}

func (r *pushedRepo) serve(w http.ResponseWriter, req *http.Request, d digest.Digest, manifest bool) {
	raw, ok := r.blobs[d]
	mediaType, isManifest := r.types[d]
	if !ok || isManifest != manifest {
		fail(w, http.StatusNotFound, "UNKNOWN")
		return
	}
	w.Header().Set("Docker-Content-Digest", d.String())
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	if req.Method == http.MethodGet {
		_, _ = w.Write(raw) // a client that went away is no failure of ours
	}
}

func (p *Pushed) manifest(w http.ResponseWriter, req *http.Request, repo *pushedRepo, name string, body []byte) {
	d, err := digest.Parse(name)
	if err != nil && req.Method != http.MethodPut {
		d = repo.tags[name]
	}
	if req.Method != http.MethodPut {
		repo.serve(w, req, d, true)
		return
	}
	var doc struct {
		MediaType         string
		Manifests, Layers []ocispec.Descriptor
		Config, Subject   *ocispec.Descriptor
	}
	if json.Unmarshal(body, &doc) != nil || doc.MediaType != req.Header.Get("Content-Type") {
		fail(w, http.StatusBadRequest, "MANIFEST_INVALID")
		return
	}
	named := slices.Concat(doc.Manifests, doc.Layers)
	if doc.Config != nil {
		named = append(named, *doc.Config)
	}
	for _, n := range named {
		if repo.blobs[n.Digest] == nil {
			fail(w, http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
			return
		}
	}
	sum := digest.FromBytes(body)
	if err != nil {
		repo.tags[name] = sum
	} else if sum = d.Algorithm().FromBytes(body); sum != d {
		fail(w, http.StatusBadRequest, "DIGEST_INVALID")
		return
	}
	repo.blobs[sum], repo.types[sum] = body, doc.MediaType
	if doc.Subject != nil && p.Referrers {
		w.Header().Set("OCI-Subject", doc.Subject.Digest.String())
	}
	w.Header().Set("Docker-Content-Digest", sum.String())
	w.Header().Set("Location", strings.TrimSuffix(req.URL.Path, name)+sum.String())
	w.WriteHeader(http.StatusCreated)
}

// list lists tags, in pages of the size that is asked for and never more than 3.
func (r *pushedRepo) list(w http.ResponseWriter, req *http.Request, name string) {
	var tags []string
	for tag := range r.tags {
		if last := req.URL.Query().Get("last"); tag > last {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	if len(tags) > 3 {
		tags = tags[:3]
		w.Header().Set("Link", fmt.Sprintf(`</v2/%s/tags/list?last=%s&n=3>; rel="next"`, name, tags[2]))
	}
	_, _ = w.Write(imagetest.JSON(map[string]any{"name": name, "tags": tags})) // as above
}

func (p *Pushed) referrers(w http.ResponseWriter, repo *pushedRepo, to digest.Digest) {
	if !p.Referrers {
		fail(w, http.StatusNotFound, "UNSUPPORTED")
		return
	}
	list := []ocispec.Descriptor{}
	for d, mediaType := range repo.types {
		var doc struct {
			ArtifactType string
			Subject      *ocispec.Descriptor
			Annotations  map[string]string
		}
		must(json.Unmarshal(repo.blobs[d], &doc))
		if doc.Subject != nil && doc.Subject.Digest == to {
			list = append(list, ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(repo.blobs[d])), ArtifactType: doc.ArtifactType, Annotations: doc.Annotations})
		}
	}
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	_, _ = w.Write(imagetest.JSON(map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": list})) // as above
}
