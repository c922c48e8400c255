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

// accepted are the manifests that are understood, in the order of preference.
var accepted = http.Header{"Accept": {
	ocispec.MediaTypeImageIndex,
	ocispec.MediaTypeImageManifest,
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.docker.distribution.manifest.v2+json",
}}

// Name says what is asked for.
type Name struct {
	Host       string // as references name it
	Repository string
	Tag        string
	Digest     digest.Digest // where it is not "" it decides
}

// Repository is one on a registry, and on its mirrors. What it asks is
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pull
type Repository struct {
	c      *Client
	name   Name
	routes []*route
	sent   *ledger
	// chunked are the digests of the blobs that were asked for in chunks.
	chunked sync.Map
	// lied are the hosts that sent other bytes than a digest's.
	lied sync.Map
	// noReferrers says that the registry has no list of referrers.
	noReferrers atomic.Bool
}

// Close has nothing to release: connections are the client's.
func (r *Repository) Close() error { return nil }

// wanted is what to ask for the name itself.
func (r *Repository) wanted() string {
	if r.name.Digest != "" {
		return r.name.Digest.String()
	}
	return r.name.Tag
}

// able are the routes for a question by digest, or by tag. By digest those come
// last that sent other bytes before.
func (r *Repository) able(byDigest bool) []*route {
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

// try asks one route after the other until ask succeeds.
func (r *Repository) try(ctx context.Context, byDigest bool, ask func(*route) error) error {
	a := newAttempts(&r.c.o, r.c.o.Logger, r.able(byDigest))
	for {
		rt, err := a.next(ctx)
		if err != nil {
			return err
		}
		if err = ask(rt); err == nil {
			rt.peer.mark(true)
			a.answered()
			return nil
		}
		a.failed(rt, err)
	}
}

// Describe asks what the name stands for.
func (r *Repository) Describe(ctx context.Context) (ocispec.Descriptor, error) {
	return r.describe(ctx, false)
}

// Glance is Describe for a name that most likely stands for nothing: the answer
// to one HEAD that says so is enough.
func (r *Repository) Glance(ctx context.Context) (ocispec.Descriptor, error) {
	return r.describe(ctx, true)
}

func (r *Repository) describe(ctx context.Context, absent bool) (ocispec.Descriptor, error) {
	var desc ocispec.Descriptor
	broken := map[*route]bool{} // for a HEAD: what hangs up then may answer a GET
	err := r.try(ctx, r.name.Digest != "", func(rt *route) (err error) {
		if broken[rt] {
			desc, _, err = r.get(ctx, rt)
			return err
		}
		broken[rt] = true
		desc, err = r.head(ctx, rt, absent)
		return err
	})
	return desc, err
}

// Root reads what the name stands for.
func (r *Repository) Root(ctx context.Context) (desc ocispec.Descriptor, raw []byte, err error) {
	err = r.try(ctx, r.name.Digest != "", func(rt *route) (err error) {
		desc, raw, err = r.get(ctx, rt)
		return err
	})
	return desc, raw, err
}

// bodyError says which body it was that could not be read.
func bodyError(ctx context.Context, resp *http.Response, err error) error {
	if err == nil || errors.Is(err, failure.Mismatch) {
		return checkFrom(resp, err)
	}
	return failure.Unanswered(ctx, checkFrom(resp, err))
}

func checkFrom(resp *http.Response, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", resp.Request.Method, transport.Redact(resp.Request.URL), err)
}

// saidDigest is what the registry says the digest is, "" if it does not, or
// what it says is none: then the bytes tell.
func saidDigest(resp *http.Response) digest.Digest {
	d := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	if content.CheckDigest(d) != nil {
		return ""
	}
	return d
}
