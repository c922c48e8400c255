// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/layerctl/layerctl/registry/internal/failure"
)

// rangings remember how hosts answer requests for ranges of one blob. All streams
// that read the blob share them.
type rangings struct {
	mu sync.Mutex
	of map[*route]*ranging
}

// ranging is what is known of one host.
type ranging struct {
	etag   string // a strong ETag, for If-Range
	fickle bool   // its ETag changes although the blob cannot
	failed bool   // it answered once with an error of its own (500)
	broken bool   // it answers wrongly, and is asked for no more ranges
}

func newRangings() *rangings { return &rangings{of: map[*route]*ranging{}} }

// lock locks mu, which the caller unlocks, and returns what is known of a host.
func (r *rangings) lock(rt *route) *ranging {
	r.mu.Lock()
	if r.of[rt] == nil {
		r.of[rt] = &ranging{}
	}
	return r.of[rt]
}

// ask returns the ETag with which to ask for a range, and whether not to ask for one.
func (r *rangings) ask(rt *route) (etag string, broken bool) {
	g := r.lock(rt)
	defer r.mu.Unlock()
	return g.etag, g.broken
}

// wrong remembers that a host answered a request for a range wrongly.
func (r *rangings) wrong(rt *route) {
	r.lock(rt).broken = true
	r.mu.Unlock()
}

// failed remembers that a host answered a request for a range with an error of its
// own. After the second one it is asked for no more ranges.
func (r *rangings) failed(rt *route) {
	g := r.lock(rt)
	defer r.mu.Unlock()
	g.broken = g.broken || g.failed
	g.failed = true
}

// whole remembers the ETag of an answer that is the whole blob. asked says that a
// range was asked for: if the ETag differs then, the host changes it, and it is of no
// use in If-Range.
func (r *rangings) whole(rt *route, tag string, asked bool) {
	tag = strong(tag)
	g := r.lock(rt)
	defer r.mu.Unlock()
	switch {
	case asked && g.etag != "" && tag != g.etag:
		g.etag, g.fickle = "", true
	case !g.fickle:
		g.etag = tag
	}
}

// part compares the ETag of a range with the one that the host sent before. A range
// need not have one.
func (r *rangings) part(rt *route, tag string) error {
	tag = strong(tag)
	g := r.lock(rt)
	defer r.mu.Unlock()
	switch {
	case g.fickle || tag == "":
	case g.etag == "":
		g.etag = tag
	case g.etag != tag:
		return fmt.Errorf("a part of ETag %s, not %s", failure.OneLine(tag), failure.OneLine(g.etag))
	}
	return nil
}

// strong returns the ETag, or "" for a weak one, which If-Range may not have, see
// https://www.rfc-editor.org/rfc/rfc9110#name-if-range, and for a very long one.
func strong(tag string) string {
	const longest = 256 // bytes that are kept
	if !strings.HasPrefix(tag, `"`) || len(tag) > longest {
		return ""
	}
	return tag
}

// part is a body that is cut at the length that its Content-Range says.
type part struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (p *part) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n, err := p.ReadCloser.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	return n, err
}
