// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"iter"

	"github.com/layerctl/layerctl/registry/internal/failure"
)

// maxTag bounds the bytes of a tag, as the specification does.
const maxTag = 128

// Tags yields the tags of the repository that ref names, in the registry's own order.
// Each page of the list is asked for when the tags before it have been taken. Only the
// registry itself is asked, no mirror. Names that are no valid tags are left out. An
// error is the last that it yields: [ErrNotFound] for a repository that does not exist,
// [ErrReference] for a layout or an archive.
func (c *Client) Tags(ctx context.Context, ref Reference) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		name := ref.Host() + "/" + ref.Repository()
		if ref.transport != Docker {
			yield("", failure.New(ErrReference, "%s is in no registry", ref))
			return
		}
		r, err := c.repository(ref)
		if err != nil {
			yield("", fmt.Errorf("list the tags of %s: %w", name, err))
			return
		}
		for tag, err := range r.AllTags(ctx) {
			if err != nil {
				yield("", fmt.Errorf("list the tags of %s: %w", name, err))
				return
			}
			if isTag(tag) && !yield(tag, nil) {
				return
			}
		}
	}
}

// isTag reports whether s is a tag by the grammar of the distribution specification.
func isTag(s string) bool {
	if s == "" || len(s) > maxTag {
		return false
	}
	for i, c := range []byte(s) {
		word := c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !word && (i == 0 || c != '.' && c != '-') {
			return false
		}
	}
	return true
}
