// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Answer is what is known of something that a registry may do.
type Answer string

// The answers. Unknown is also what nothing could be found to ask about.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "unknown"
)

// Ping is what a registry was seen to speak.
type Ping struct {
	Host string // as references name it
	URL  string // where it is asked
	// API is the Docker-Distribution-API-Version that it says, mostly
	// "registry/2.0"; "" where it says none, as the specification allows.
	API string
	// Auth are the ways in which it wants to be convinced; none where it
	// wants nothing.
	Auth []Auth
	// Asked is the image that the rest was asked about; zero where none was
	// named and none was found.
	Asked Reference
	// OCI and Docker say whether it was seen to serve manifests of that form.
	OCI, Docker Answer
	// Ranges says whether it sends a part of a blob, which resuming needs.
	Ranges Answer
	// Referrers says whether it has the referrers API, see
	// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
	Referrers Answer
}

// Auth is one way to be convinced. Its parts are the registry's words.
type Auth struct {
	Scheme  string // "bearer", "basic", in lower case; "unknown" where it does not say
	Realm   string // where tokens come from, or the name of what is guarded
	Service string
}

// Ping asks a host whether it is a registry, and of which kind. name is a
// host, "ghcr.io", or an image to ask about, "ghcr.io/owner/image:tag";
// without one the first that the host lists is taken, if it lists any.
//
// Errors: [ErrNetwork] where the host does not answer, or not as a registry
// does; [ErrNotFound] and [ErrDenied] for an image that was named.
func (c *Client) Ping(ctx context.Context, name string) (Ping, error) {
	ref, err := pingReference(name)
	if err != nil {
		return Ping{}, err
	}
	r, err := c.remote(ref)
	if err != nil {
		return Ping{}, err
	}
	p := r.own().peer
	ping := Ping{
		Host: ref.Host(), URL: p.base.Scheme + "://" + p.base.Host,
		OCI: Unknown, Docker: Unknown, Ranges: Unknown, Referrers: Unknown,
	}
	if err := p.greet(ctx, &ping); err != nil {
		return Ping{}, fmt.Errorf("ping %s: %w", ref.Host(), err)
	}
	named := strings.Contains(name, "/")
	if !named {
		if ref, err = p.anyImage(ctx, ref.Host()); err != nil {
			return ping, ctx.Err()
		}
	}
	if err := c.probe(ctx, p, ref, &ping); err != nil && named {
		return Ping{}, fmt.Errorf("ping %s: %w", ref, err)
	}
	return ping, ctx.Err()
}

// pingReference makes a reference of a bare host too.
func pingReference(name string) (Reference, error) {
	whole := name
	if !strings.Contains(name, "/") {
		whole += "/x"
	}
	ref, err := Parse(whole)
	if err == nil && (ref.transport != Docker || !strings.Contains(name, "/") && ref.Host() != name) {
		err = fmt.Errorf("%w %q: no host as references name it, such as ghcr.io or localhost:5000", ErrReference, name)
	}
	return ref, err
}

// greet asks for the API's version, without credentials; see
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#determining-support
func (p *peer) greet(ctx context.Context, ping *Ping) error {
	resp, err := p.send(ctx, question{method: http.MethodGet}, "")
	if err != nil {
		return err
	}
	discard(resp.Body)
	ping.API = resp.Header.Get("Docker-Distribution-Api-Version")
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		for _, ch := range challenges(resp.Header) {
			ping.Auth = append(ping.Auth, Auth{ch.scheme, ch.params["realm"], ch.params["service"]})
		}
		if len(ping.Auth) == 0 {
			ping.Auth = []Auth{{Scheme: "unknown"}}
		}
	default:
		return checkFrom(resp, as(ErrNetwork, "status %d: no registry that speaks the distribution API", resp.StatusCode))
	}
	return nil
}

// anyImage is an image that the host lists. Many list none: the catalog is no
// part of the specification.
func (p *peer) anyImage(ctx context.Context, host string) (Reference, error) {
	var catalog struct{ Repositories []string }
	if err := p.askJSON(ctx, question{method: http.MethodGet, path: "_catalog"}, &catalog); err != nil {
		return Reference{}, err
	}
	const enough = 5 // of repositories whose images may all have been deleted
	for _, repo := range catalog.Repositories[:min(enough, len(catalog.Repositories))] {
		ref, err := Parse(host + "/" + repo)
		if err != nil || ref.Host() != host {
			continue
		}
		var list struct{ Tags []string }
		if err := p.askJSON(ctx, question{method: http.MethodGet, repo: ref.repo, path: "tags/list"}, &list); err != nil || len(list.Tags) == 0 {
			continue
		}
		if ref, err = Parse(host + "/" + repo + ":" + list.Tags[0]); err == nil {
			return ref, nil
		}
	}
	return Reference{}, as(ErrNotFound, "%s lists no image", host)
}

func (p *peer) askJSON(ctx context.Context, q question, v any) error {
	resp, err := p.ask(ctx, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(io.LimitReader(resp.Body, MaxManifest)).Decode(v)
}

// probe asks about one image.
func (c *Client) probe(ctx context.Context, p *peer, ref Reference, ping *Ping) error {
	source, err := c.Open(ctx, ref)
	if err != nil {
		return err
	}
	root, raw, err := source.Root(ctx)
	if err != nil {
		return err
	}
	ping.Asked = ref
	var blob ocispec.Descriptor
	const depth = 3 // of indexes in indexes, which no honest image reaches
	for range depth {
		var doc struct {
			MediaType string
			Manifests []ocispec.Descriptor
			Config    ocispec.Descriptor
		}
		if err := json.Unmarshal(raw, &doc); err != nil {
			return as(ErrMalformed, "%s: %w", root.Digest, err)
		}
		ping.seen(root.MediaType)
		if blob = doc.Config; len(doc.Manifests) == 0 || blob.Digest != "" {
			break
		}
		if raw, err = source.Manifest(ctx, doc.Manifests[0]); err != nil {
			return err
		}
		root = doc.Manifests[0]
	}
	ping.Referrers = p.referrers(ctx, ref, root)
	ping.Ranges = p.ranges(ctx, ref, blob)
	return nil
}

// seen takes note of a manifest that was served.
func (p *Ping) seen(mediaType string) {
	switch {
	case strings.HasPrefix(mediaType, "application/vnd.oci.image."):
		p.OCI = Yes
	case strings.HasPrefix(mediaType, "application/vnd.docker.distribution.manifest."):
		p.Docker = Yes
	}
}

// referrers asks who refers to a manifest. A registry with the API says so
// also where nobody does; one without it says that there is nothing there.
func (p *peer) referrers(ctx context.Context, ref Reference, to ocispec.Descriptor) Answer {
	if check(to, 0) != nil {
		return Unknown
	}
	resp, err := p.ask(ctx, question{method: http.MethodGet, repo: ref.repo, path: "referrers/" + to.Digest.String(), header: http.Header{"Accept": {ocispec.MediaTypeImageIndex}}})
	var status *StatusError
	switch {
	case errors.As(err, &status) && !errors.Is(err, ErrDenied) && status.Status < 500 && status.Status != http.StatusTooManyRequests:
		return No
	case err != nil:
		return Unknown
	}
	defer resp.Body.Close()
	// Some answer any path with a page of theirs.
	var list ocispec.Index
	err = json.NewDecoder(io.LimitReader(resp.Body, MaxManifest)).Decode(&list)
	if err != nil || list.SchemaVersion != 2 || list.Manifests == nil {
		return No
	}
	return Yes
}

// ranges asks for the first byte of a blob.
func (p *peer) ranges(ctx context.Context, ref Reference, blob ocispec.Descriptor) Answer {
	if check(blob, MaxConfig) != nil || blob.Size < 2 {
		return Unknown
	}
	resp, err := p.ask(ctx, question{method: http.MethodGet, repo: ref.repo, path: "blobs/" + blob.Digest.String(), header: http.Header{"Range": {"bytes=0-0"}}})
	if err != nil {
		return Unknown
	}
	discard(resp.Body)
	first, last, total, err := parseContentRange(resp.Header.Get("Content-Range"))
	switch {
	case resp.StatusCode != http.StatusPartialContent:
		return No
	case err != nil || first != 0 || last != 0 || total != blob.Size:
		return No
	default:
		return Yes
	}
}
