// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/transport"
)

// maxPages bounds into how many answers a list of referrers may be divided.
const maxPages = 10

// errNoReferrers says that the registry is known not to list referrers.
var errNoReferrers = failure.Final(fmt.Errorf("%w: the registry has no list of referrers", errors.ErrUnsupported))

// Referrers lists the manifests that name a digest as their subject, at most
// [manifest.MaxEntries]. The error matches errors.ErrUnsupported where the registry
// lacks the API: it answers with a status of 4xx or 501, while a registry with the API
// answers with an empty list where there are none. It is not asked again.
func (r *Repository) Referrers(ctx context.Context, of digest.Digest) (list []ocispec.Descriptor, err error) {
	if err := content.CheckDigest(of); err != nil {
		return nil, failure.Mark(failure.Malformed, err)
	}
	if r.noReferrers.Load() {
		return nil, errNoReferrers
	}
	err = r.try(ctx, false, func(rt *route) error {
		list, err = rt.referrers(ctx, of)
		return err
	})
	if errors.Is(err, errors.ErrUnsupported) {
		r.noReferrers.Store(true)
	}
	return list, err
}

// HasReferrers asks the registry itself whether it has the API. known is false where
// its answer does not tell.
func (r *Repository) HasReferrers(ctx context.Context, of digest.Digest) (has, known bool) {
	if content.CheckDigest(of) != nil {
		return false, false
	}
	_, err := r.own().referrers(ctx, of)
	return err == nil, err == nil || errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, failure.Denied)
}

func (rt *route) referrers(ctx context.Context, of digest.Digest) ([]ocispec.Descriptor, error) {
	var list []ocispec.Descriptor
	q := question{
		method: http.MethodGet, path: "referrers/" + of.String(),
		header: http.Header{"Accept": {ocispec.MediaTypeImageIndex}},
	}
	for range maxPages {
		page, next, err := rt.referrersPage(ctx, q)
		if err != nil {
			return nil, err
		}
		list = append(list, page...)
		if len(list) > manifest.MaxEntries {
			return nil, failure.Final(failure.New(failure.Malformed, "%s has more than %d referrers", of, manifest.MaxEntries))
		}
		if next == nil {
			return list, nil
		}
		q.query = next
	}
	return nil, failure.Final(failure.New(failure.Malformed, "the referrers of %s take more than %d answers", of, maxPages))
}

// referrersPage reads one answer, and the query that asks for the next one.
func (rt *route) referrersPage(ctx context.Context, q question) ([]ocispec.Descriptor, url.Values, error) {
	resp, err := rt.send(ctx, q)
	var status *transport.StatusError
	switch {
	case errors.As(err, &status) && status.Status < 500 && status.Status != http.StatusTooManyRequests,
		errors.As(err, &status) && status.Status == http.StatusNotImplemented:
		return nil, nil, failure.Final(fmt.Errorf("%w: %w", errors.ErrUnsupported, err))
	case err != nil:
		return nil, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, content.MaxManifest+1))
	if err != nil {
		return nil, nil, bodyError(ctx, resp, err)
	}
	list, err := decodeReferrers(raw)
	if err != nil {
		return nil, nil, failure.Final(checkFrom(resp, err))
	}
	return list, nextPage(resp), nil
}

// decodeReferrers reads an answer. Some registries without the API answer any path
// with a page for browsers: that is errors.ErrUnsupported. A list that is wrong in
// itself is [failure.Malformed].
func decodeReferrers(raw []byte) ([]ocispec.Descriptor, error) {
	if len(raw) > content.MaxManifest {
		return nil, failure.New(failure.Malformed, "a list of referrers of more than %d bytes", content.MaxManifest)
	}
	var told struct {
		SchemaVersion int             `json:"schemaVersion"`
		Manifests     json.RawMessage `json:"manifests"`
	}
	if json.Unmarshal(raw, &told) != nil || told.SchemaVersion != 2 || len(told.Manifests) == 0 || told.Manifests[0] != '[' {
		return nil, fmt.Errorf("%w: the answer is no list of referrers", errors.ErrUnsupported)
	}
	index, err := manifest.ParseIndex(raw, ocispec.MediaTypeImageIndex)
	if err != nil {
		return nil, failure.New(failure.Malformed, "list of referrers: %w", err)
	}
	return index.Manifests, nil
}

// nextPage returns the query that asks for the next answer; nil where this one was the
// last. It takes no more than the query from the header Link, so that this cannot lead
// to another host. See
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
func nextPage(resp *http.Response) url.Values {
	for _, link := range resp.Header.Values("Link") {
		target, params, found := strings.Cut(link, ">")
		target, opened := strings.CutPrefix(strings.TrimSpace(target), "<")
		if !found || !opened || !strings.Contains(strings.ReplaceAll(params, `"`, ""), "rel=next") {
			continue
		}
		if u, err := url.Parse(target); err == nil && len(u.RawQuery) > 0 {
			return u.Query()
		}
	}
	return nil
}
