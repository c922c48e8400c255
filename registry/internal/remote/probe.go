// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/registry/internal/auth"
	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/credentials"
	"github.com/layerctl/layerctl/registry/internal/failure"
)

// Greeting is how a registry answers a request to the base of its API.
type Greeting struct {
	URL string // the scheme and host that were asked
	// API is the header Docker-Distribution-API-Version; "" where there is none.
	API string
	// Asks says that it answered 401, with these challenges.
	Asks       bool
	Challenges []auth.Challenge
	// Credentials says that some are known for it. It is set where Asks is.
	Credentials bool
}

// Greet asks the registry itself for the API's version, without credentials;
// see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#determining-support
func (r *Repository) Greet(ctx context.Context) (Greeting, error) {
	p := r.own().peer.now()
	resp, err := p.send(ctx, question{method: http.MethodGet}, "")
	if plain := p.fallBack(err); plain != nil {
		p = plain
		resp, err = p.send(ctx, question{method: http.MethodGet}, "")
	}
	g := Greeting{URL: p.base.Scheme + "://" + p.base.Host}
	if err != nil {
		return g, err
	}
	discard(resp.Body)
	g.API = resp.Header.Get("Docker-Distribution-Api-Version")
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		g.Asks, g.Challenges = true, auth.Challenges(resp.Header)
		g.Credentials = p.auth.Knows(ctx, r.name.Repository)
	default:
		return g, checkFrom(resp, failure.New(failure.Network, "status %d: no registry that speaks the distribution API", resp.StatusCode))
	}
	return g, nil
}

// Accepts asks the registry itself whether it accepts the credentials. They are not
// remembered. A registry that asks for none accepts any.
func (r *Repository) Accepts(ctx context.Context, creds credentials.Login) error {
	resp, err := r.withLogin(r.own().peer.now(), creds).ask(ctx, question{method: http.MethodGet})
	if err != nil {
		return err
	}
	discard(resp.Body)
	return nil
}

// withLogin returns a peer of the same host as p with other credentials.
func (r *Repository) withLogin(p *peer, creds credentials.Login) *peer {
	guest := &peer{host: p.host, base: p.base, client: p.client, header: p.header, agent: p.agent, warn: p.warn, pace: p.pace}
	guest.auth = r.c.authoriser(guest, fixed(creds))
	if p.overHTTP != nil {
		guest.overHTTP = func() (*peer, error) {
			plain, err := p.overHTTP()
			if err != nil {
				return nil, err
			}
			return r.withLogin(plain, creds), nil
		}
	}
	return guest
}

// Catalog lists repositories of the registry, those of the first answer. Many
// registries list none: the catalog is no part of the specification.
func (r *Repository) Catalog(ctx context.Context) ([]string, error) {
	var catalog struct{ Repositories []string }
	resp, err := r.own().peer.ask(ctx, question{method: http.MethodGet, path: "_catalog"})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	err = json.NewDecoder(io.LimitReader(resp.Body, content.MaxManifest)).Decode(&catalog)
	return catalog.Repositories, err
}

// Tags lists tags of the repository: those of the first answer.
func (r *Repository) Tags(ctx context.Context) ([]string, error) {
	tags, _, err := r.tags(ctx, nil)
	return tags, err
}

// Ranges reports whether the registry sends ranges, by asking for the first byte of a
// blob. known is false where it did not answer, or the blob is too small.
func (r *Repository) Ranges(ctx context.Context, blob ocispec.Descriptor) (has, known bool) {
	if content.Check(blob, content.MaxConfig) != nil || blob.Size < 2 {
		return false, false
	}
	_, err := r.Part(ctx, blob, 0, 1)
	return err == nil, err == nil || errors.Is(err, errNoRanges)
}

// Part asks the registry for n bytes of a blob from off on, by one request. They are
// not verified. They are kept in memory, so n should be small.
func (r *Repository) Part(ctx context.Context, blob ocispec.Descriptor, off int64, n int) ([]byte, error) {
	last := off + int64(n) - 1
	if err := content.Check(blob, 0); err != nil {
		return nil, err
	}
	if off < 0 || n < 1 || last >= blob.Size {
		return nil, fmt.Errorf("bytes %d to %d of a blob of %d", off, last, blob.Size)
	}
	resp, err := r.own().peer.ask(ctx, question{
		method: http.MethodGet, repo: r.name.Repository, path: "blobs/" + blob.Digest.String(),
		header: http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", off, last)}},
	})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	first, end, total, err := parseContentRange(resp.Header.Get("Content-Range"))
	if resp.StatusCode != http.StatusPartialContent || err != nil || first != off || end != last || total != blob.Size {
		return nil, errNoRanges
	}
	part := make([]byte, n)
	_, err = io.ReadFull(resp.Body, part)
	return part, err
}
