// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"net/url"

	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/failure"
)

const (
	// pageSize is how many tags one answer should have.
	pageSize = "1000"
	// maxTagPages bounds the number of answers: a registry may send one tag in each.
	maxTagPages = 10_000
)

// AllTags yields the tags of the repository as the registry lists them, page
// after page, see
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-tags
// Only the registry itself is asked, no mirror. An error is the last that it yields.
func (r *Repository) AllTags(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		query := url.Values{"n": {pageSize}}
		for range maxTagPages {
			var tags []string
			var next url.Values
			err := newAttempts(&r.c.o, []*route{r.own()}).run(ctx, func(*route) (err error) {
				tags, next, err = r.tags(ctx, query)
				return err
			})
			if err != nil {
				yield("", err)
				return
			}
			for _, tag := range tags {
				if !yield(tag, nil) {
					return
				}
			}
			if next == nil {
				return
			}
			query = next
		}
		yield("", failure.New(failure.Network, "the registry lists its tags in more than %d answers", maxTagPages))
	}
}

// tags reads one answer. next is the query that asks for the next one; nil for none.
func (r *Repository) tags(ctx context.Context, query url.Values) (tags []string, next url.Values, err error) {
	resp, err := r.own().send(ctx, question{method: http.MethodGet, path: "tags/list", query: query})
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	var list struct{ Tags []string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, content.MaxManifest)).Decode(&list); err != nil {
		return nil, nil, failure.Final(checkFrom(resp, failure.New(failure.Network, "the answer is no list of tags")))
	}
	if next = nextPage(resp); next.Encode() == query.Encode() {
		next = nil // the same answer would come again
	}
	return list.Tags, next, nil
}
