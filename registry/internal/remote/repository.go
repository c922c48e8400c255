// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/transport"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// accepted has the media types of manifests that are understood, the preferred first.
var accepted = http.Header{"Accept": {
	ocispec.MediaTypeImageIndex,
	ocispec.MediaTypeImageManifest,
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.docker.distribution.manifest.v2+json",
}}

// Name says which manifest is meant.
type Name struct {
	Host       string // as references name it
	Repository string
	Tag        string
	Digest     digest.Digest // "" means any; otherwise Tag is not asked for
}

// Repository reads a repository of a registry, from the registry or its mirrors, by
// the requests of
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pull
type Repository struct {
	c      *Client
	name   Name
	routes []*route // the registry's own is the last
	sent   *ledger
	// chunked holds the digests of the blobs that were fetched in chunks.
	chunked sync.Map
	// lied holds the hosts that sent other bytes than a digest's.
	lied sync.Map
	// noReferrers says that the registry is known not to list referrers.
	noReferrers atomic.Bool
}

// Close does nothing: the client keeps the connections.
func (r *Repository) Close() error { return nil }

// wanted returns the last element of the path of the manifest that is meant.
func (r *Repository) wanted() string {
	if r.name.Digest != "" {
		return r.name.Digest.String()
	}
	return r.name.Tag
}

// routesFor returns the routes for a request by digest, or by tag. By digest, hosts
// that have sent wrong bytes come last.
func (r *Repository) routesFor(byDigest bool) []*route {
	var able, last []*route
	for _, rt := range r.routes {
		if _, lied := r.lied.Load(rt.peer.host); lied && rt.pull && byDigest {
			last = append(last, rt)
		} else if rt.pull && byDigest || rt.resolve && !byDigest {
			able = append(able, rt)
		}
	}
	return append(able, last...)
}

// try asks one route after the other, as [attempts.run] does.
func (r *Repository) try(ctx context.Context, byDigest bool, ask func(*route) error) error {
	return newAttempts(&r.c.o, r.routesFor(byDigest)).run(ctx, ask)
}

// Describe asks for the descriptor of the manifest that the name stands for.
func (r *Repository) Describe(ctx context.Context) (ocispec.Descriptor, error) {
	return r.describe(ctx, false)
}

// Glance is Describe for a name that most likely stands for nothing: it believes a
// 404 to a HEAD request, which some registries answer to every HEAD.
func (r *Repository) Glance(ctx context.Context) (ocispec.Descriptor, error) {
	return r.describe(ctx, true)
}

func (r *Repository) describe(ctx context.Context, absent bool) (ocispec.Descriptor, error) {
	var desc ocispec.Descriptor
	tried := map[*route]bool{} // a host that hangs up on a HEAD may answer a GET
	err := r.try(ctx, r.name.Digest != "", func(rt *route) (err error) {
		if tried[rt] {
			desc, _, err = r.get(ctx, rt)
			return err
		}
		tried[rt] = true
		desc, err = r.head(ctx, rt, absent)
		return err
	})
	return desc, err
}

// Root reads the manifest that the name stands for.
func (r *Repository) Root(ctx context.Context) (desc ocispec.Descriptor, raw []byte, err error) {
	err = r.try(ctx, r.name.Digest != "", func(rt *route) (err error) {
		desc, raw, err = r.get(ctx, rt)
		return err
	})
	return desc, raw, err
}

// bodyError adds to err which body could not be read. Other errors than a mismatch
// become those of the network.
func bodyError(ctx context.Context, resp *http.Response, err error) error {
	if err == nil || errors.Is(err, failure.Mismatch) {
		return checkFrom(resp, err)
	}
	return failure.Unanswered(ctx, checkFrom(resp, err))
}

// checkFrom adds to err, if it is not nil, which request resp answers.
func checkFrom(resp *http.Response, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", resp.Request.Method, transport.Redact(resp.Request.URL), err)
}

// digestHeader returns the digest in the answer's header; "" where there is none or
// it is invalid, so that the bytes have to be hashed.
func digestHeader(resp *http.Response) digest.Digest {
	d := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	if content.CheckDigest(d) != nil {
		return ""
	}
	return d
}
