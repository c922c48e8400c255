// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync"

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

// remote is a repository on a registry, and on its mirrors. What it asks is
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pull
type remote struct {
	c      *Client
	ref    Reference
	routes []*route
	sent   *ledger
	// chunked are the digests of the blobs that were asked for in chunks.
	chunked sync.Map
}

func (r *remote) close() error { return nil }

// name is what to ask for the reference itself.
func (r *remote) name() string {
	if r.ref.digest != "" {
		return r.ref.digest.String()
	}
	return r.ref.tag
}

// able are the routes for a question by digest, or by tag.
func (r *remote) able(byDigest bool) []*route {
	var able []*route
	for _, rt := range r.routes {
		if rt.pull && byDigest || rt.resolve && !byDigest {
			able = append(able, rt)
		}
	}
	return able
}

// try asks one route after the other until ask succeeds.
func (r *remote) try(ctx context.Context, byDigest bool, ask func(*route) error) error {
	a := newAttempts(&r.c.o, r.c.o.Logger, r.able(byDigest))
	for {
		rt, err := a.next(ctx)
		if err != nil {
			return err
		}
		if err = ask(rt); err == nil {
			rt.peer.mark(true)
			return nil
		}
		a.failed(rt, err)
	}
}

func (r *remote) resolve(ctx context.Context) (ocispec.Descriptor, error) {
	var desc ocispec.Descriptor
	err := r.try(ctx, r.ref.digest != "", func(rt *route) (err error) {
		desc, err = r.head(ctx, rt)
		return err
	})
	return desc, err
}

// head asks for the descriptor only. Registries may leave out what would make
// it one; then there is no way around reading the bytes.
func (r *remote) head(ctx context.Context, rt *route) (ocispec.Descriptor, error) {
	resp, err := rt.ask(ctx, http.MethodHead, "manifests/"+r.name(), accepted)
	var status *StatusError
	if errors.As(err, &status) && status.Status == http.StatusMethodNotAllowed {
		desc, _, err := r.get(ctx, rt)
		return desc, err
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	discard(resp.Body)
	desc := ocispec.Descriptor{MediaType: mediaType(resp), Digest: r.ref.digest, Size: resp.ContentLength}
	said, err := saidDigest(resp)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if desc.Digest == "" {
		desc.Digest = said
	}
	if desc.Digest == "" || desc.Size < 0 || desc.MediaType == "" {
		desc, _, err = r.get(ctx, rt)
		return desc, err
	}
	return desc, checkFrom(resp, check(desc, MaxManifest))
}

func (r *remote) root(ctx context.Context) (desc ocispec.Descriptor, raw []byte, err error) {
	err = r.try(ctx, r.ref.digest != "", func(rt *route) (err error) {
		desc, raw, err = r.get(ctx, rt)
		return err
	})
	return desc, raw, err
}

// get reads what the reference names. A digest of the reference is checked, or
// else the digest that the registry says it is.
func (r *remote) get(ctx context.Context, rt *route) (_ ocispec.Descriptor, _ []byte, err error) {
	resp, err := rt.ask(ctx, http.MethodGet, "manifests/"+r.name(), accepted)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	defer resp.Body.Close()
	want := r.ref.digest
	if want == "" {
		if want, err = saidDigest(resp); err != nil {
			return ocispec.Descriptor{}, nil, err
		}
	}
	raw, err := readBounded(ctx, resp)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	algorithm := digest.Canonical
	if want != "" {
		algorithm = want.Algorithm()
	}
	desc := ocispec.Descriptor{MediaType: mediaType(resp), Digest: algorithm.FromBytes(raw), Size: int64(len(raw))}
	if want != "" && desc.Digest != want {
		return ocispec.Descriptor{}, nil, checkFrom(resp, &MismatchError{
			Want: want, Got: desc.Digest, WantSize: desc.Size, GotSize: desc.Size, Host: rt.peer.host,
		})
	}
	return desc, raw, nil
}

func (r *remote) manifest(ctx context.Context, desc ocispec.Descriptor) (raw []byte, err error) {
	if err := check(desc, MaxManifest); err != nil {
		return nil, err
	}
	err = r.try(ctx, true, func(rt *route) error {
		resp, err := rt.ask(ctx, http.MethodGet, "manifests/"+desc.Digest.String(), accepted)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		raw, err = io.ReadAll(verify(resp.Body, desc, rt.peer.host))
		return bodyError(ctx, resp, err)
	})
	return raw, err
}

func readBounded(ctx context.Context, resp *http.Response) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, MaxManifest+1))
	if err != nil {
		return nil, bodyError(ctx, resp, err)
	}
	if len(raw) > MaxManifest {
		return nil, final(checkFrom(resp, as(ErrMalformed, "manifest of more than %d bytes", MaxManifest)))
	}
	return raw, nil
}

// bodyError says which body it was that could not be read.
func bodyError(ctx context.Context, resp *http.Response, err error) error {
	if err == nil || errors.Is(err, ErrMismatch) {
		return checkFrom(resp, err)
	}
	return network(ctx, checkFrom(resp, err))
}

func checkFrom(resp *http.Response, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", resp.Request.Method, redact(resp.Request.URL), err)
}

// mediaType is the Content-Type without parameters.
func mediaType(resp *http.Response) string {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// saidDigest is what the registry says the digest is, "" if it does not.
func saidDigest(resp *http.Response) (digest.Digest, error) {
	d := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	if d == "" {
		return "", nil
	}
	if err := validDigest(d); err != nil {
		return "", final(checkFrom(resp, as(ErrNetwork, "Docker-Content-Digest: %w", err)))
	}
	return d, nil
}
