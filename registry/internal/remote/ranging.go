// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/layerctl/layerctl/registry/internal/failure"
)

// rangings are what was learnt of how hosts do ranges of one blob. All that
// read it share them.
type rangings struct {
	mu sync.Mutex
	of map[*route]*ranging
}

// ranging is what is known of one host.
type ranging struct {
	etag   string // strong, for If-Range
	fickle bool   // its tag changes though the blob cannot
	failed bool   // it had an error of its own when it was asked for one
	broken bool   // it does them wrong
}

func newRangings() *rangings { return &rangings{of: map[*route]*ranging{}} }

// at locks. The caller unlocks.
func (r *rangings) at(rt *route) *ranging {
	r.mu.Lock()
	if r.of[rt] == nil {
		r.of[rt] = &ranging{}
	}
	return r.of[rt]
}

// ask is how to ask for a range: with which tag, and whether at all.
func (r *rangings) ask(rt *route) (etag string, broken bool) {
	g := r.at(rt)
	defer r.mu.Unlock()
	return g.etag, g.broken
}

// wrong takes note that a range did not come as it must.
func (r *rangings) wrong(rt *route) {
	r.at(rt).broken = true
	r.mu.Unlock()
}

// failed takes note of an error of the host's own where a range was asked for.
// One passes; the second is taken for its way to do ranges.
func (r *rangings) failed(rt *route) {
	g := r.at(rt)
	defer r.mu.Unlock()
	g.broken = g.broken || g.failed
	g.failed = true
}

// whole takes note of the tag of an answer that is no part, though one was
// asked for or not. One that changes is of no use in If-Range.
func (r *rangings) whole(rt *route, tag string, asked bool) {
	tag = strong(tag)
	g := r.at(rt)
	defer r.mu.Unlock()
	switch {
	case asked && g.etag != "" && tag != g.etag:
		g.etag, g.fickle = "", true
	case !g.fickle:
		g.etag = tag
	}
}

// part compares the tag of a part with what came before from the same host.
// A part need not repeat it.
func (r *rangings) part(rt *route, tag string) error {
	tag = strong(tag)
	g := r.at(rt)
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

// strong is the tag, or "" for a weak one, which may not stand in If-Range:
// https://www.rfc-editor.org/rfc/rfc9110#name-if-range
func strong(tag string) string {
	const longest = 256 // of what is kept
	if !strings.HasPrefix(tag, `"`) || len(tag) > longest {
		return ""
	}
	return tag
}

// part is a body that may bring no more than its Content-Range said.
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
