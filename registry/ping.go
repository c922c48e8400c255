// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/remote"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Answer says whether a registry does something.
type Answer string

// The answers. Unknown also means that no image was found about which to ask.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "unknown"
)

// Ping is what is known of a registry after it was asked.
type Ping struct {
	Host string // as references name it
	URL  string // the scheme and host that were asked
	// API is the header Docker-Distribution-API-Version, mostly "registry/2.0"; ""
	// where it sends none, as the specification allows.
	API string
	// Auth lists the ways of authorisation that it offers; none where it asks for no
	// credentials.
	Auth []Auth
	// Credentials says whether some are known for it; Unknown where it asks for none.
	Credentials Answer
	// Asked is the image by which the fields below were found out; zero where none was
	// named and none was found.
	Asked Reference
	// OCI and Docker are Yes if it has sent manifests of that form, else Unknown.
	OCI, Docker Answer
	// Ranges says whether it sends ranges of blobs, which resuming needs.
	Ranges Answer
	// Referrers says whether it has the referrers API, see
	// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
	Referrers Answer
}

// Auth is one way of authorisation, as the registry's header WWW-Authenticate has it.
// Its fields are the registry's own text and not escaped.
type Auth struct {
	Scheme  string // such as "bearer" or "basic", in lower case; "unknown" where a 401 has none
	Realm   string // the URL of the token server; for "basic" a name for users
	Service string // the registry's name at the token server
}

// Ping asks a host whether it is a registry, and what it supports. name is a host,
// "ghcr.io", or an image by which to find out, "ghcr.io/owner/image:tag". For a host the
// first image that it lists is taken, if it lists any.
//
// Errors: [ErrNetwork] where the host does not answer, or not as a registry
// does; [ErrNotFound] and [ErrDenied] for an image that was named.
func (c *Client) Ping(ctx context.Context, name string) (Ping, error) {
	ref, err := pingReference(name)
	if err != nil {
		return Ping{}, err
	}
	r, err := c.repository(ref)
	if err != nil {
		return Ping{}, err
	}
	ping := Ping{Host: ref.Host(), Credentials: Unknown, OCI: Unknown, Docker: Unknown, Ranges: Unknown, Referrers: Unknown}
	named := strings.Contains(name, "/")
	// Where an image is named, the base of the API need not answer.
	if err := ping.greet(ctx, r); err != nil && !named {
		return Ping{}, fmt.Errorf("ping %s: %w", ref.Host(), err)
	}
	if !named {
		if ref, err = c.anyImage(ctx, r, ref.Host()); err != nil {
			return ping, ctx.Err()
		}
	}
	if err := c.probe(ctx, ref, &ping); err != nil && named {
		return Ping{}, fmt.Errorf("ping %s: %w", ref, err)
	}
	return ping, ctx.Err()
}

// pingReference makes a reference of a name that may also be a host alone.
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

// greet asks for the base of the API, and fills in what the answer says.
func (p *Ping) greet(ctx context.Context, r *remote.Repository) error {
	g, err := r.Greet(ctx)
	p.URL, p.API = g.URL, g.API
	if err != nil {
		return err
	}
	if g.Asks {
		p.Credentials = answerOf(g.Credentials, true)
	}
	for _, ch := range g.Challenges {
		p.Auth = append(p.Auth, Auth{ch.Scheme, ch.Params["realm"], ch.Params["service"]})
	}
	if g.Asks && len(p.Auth) == 0 {
		p.Auth = []Auth{{Scheme: "unknown"}}
	}
	return nil
}

// anyImage returns an image that the host lists.
func (c *Client) anyImage(ctx context.Context, r *remote.Repository, host string) (Reference, error) {
	repositories, err := r.Catalog(ctx)
	if err != nil {
		return Reference{}, err
	}
	const enough = 5 // repositories are asked, for a listed one may be empty
	for _, repo := range repositories[:min(enough, len(repositories))] {
		ref, err := Parse(host + "/" + repo)
		if err != nil || ref.Host() != host {
			continue
		}
		listing, err := c.repository(ref)
		if err != nil {
			return Reference{}, err
		}
		tags, err := listing.Tags(ctx)
		if err != nil || len(tags) == 0 {
			continue
		}
		if ref, err = Parse(host + "/" + repo + ":" + tags[0]); err == nil {
			return ref, nil
		}
	}
	return Reference{}, failure.New(ErrNotFound, "%s lists no image", host)
}

// probe reads one image, and fills in what that shows.
func (c *Client) probe(ctx context.Context, ref Reference, ping *Ping) error {
	source, err := c.Open(ctx, ref)
	if err != nil {
		return err
	}
	r, err := c.repository(ref)
	if err != nil {
		return err
	}
	root, raw, err := source.Root(ctx)
	if err != nil {
		return err
	}
	ping.Asked = ref
	var blob ocispec.Descriptor
	const depth = 3 // how deep indexes may be nested; those of real images are not
	for range depth {
		var doc struct {
			MediaType string
			Manifests []ocispec.Descriptor
			Config    ocispec.Descriptor
		}
		if err := json.Unmarshal(raw, &doc); err != nil {
			return failure.New(ErrMalformed, "%s: %w", root.Digest, err)
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
	ping.Referrers = answerOf(r.HasReferrers(ctx, root.Digest))
	ping.Ranges = answerOf(r.Ranges(ctx, blob))
	return nil
}

func answerOf(yes, known bool) Answer {
	switch {
	case !known:
		return Unknown
	case yes:
		return Yes
	}
	return No
}

// seen fills in that a manifest of this media type was sent.
func (p *Ping) seen(mediaType string) {
	switch {
	case strings.HasPrefix(mediaType, "application/vnd.oci.image."):
		p.OCI = Yes
	case strings.HasPrefix(mediaType, "application/vnd.docker.distribution.manifest."):
		p.Docker = Yes
	}
}
