// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// late is a registry in front of another one, which does not come to the end of a
// layer until it shall.
type late struct {
	http.Handler

	mu     sync.Mutex
	slow   bool
	ranges []string // that were asked for
}

func (l *late) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	l.mu.Lock()
	slow := l.slow
	if req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/blobs/") {
		l.ranges = append(l.ranges, req.Header.Get("Range"))
	}
	l.mu.Unlock()
	if slow {
		w = trickle{w, req}
	}
	l.Handler.ServeHTTP(w, req)
}

// trickle brings what is large in parts, and never all.
type trickle struct {
	http.ResponseWriter
	req *http.Request
}

func (t trickle) Write(b []byte) (n int, err error) {
	const part = 16 << 10
	for len(b)-n > 64*part {
		if _, err := t.ResponseWriter.Write(b[n : n+part]); err != nil {
			return n, err
		}
		t.ResponseWriter.(http.Flusher).Flush()
		n += part
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.req.Context().Done():
			return n, t.req.Context().Err()
		}
	}
	if n > 0 {
		<-t.req.Context().Done()
		return n, t.req.Context().Err()
	}
	return t.ResponseWriter.Write(b)
}

// TestWindowEndsWithinALayer: the next window goes on in the layer.
func TestWindowEndsWithinALayer(t *testing.T) {
	if os.Getenv("LAYERCTL_FULL") != "1" {
		t.Skip("LAYERCTL_FULL=1 runs it")
	}
	p := newPlace(t)
	p.push("one", 5<<20)
	front := &late{Handler: p.registry, slow: true}
	server := httptest.NewServer(front)
	defer server.Close()
	p.host = strings.TrimPrefix(server.URL, "http://")
	part := filepath.Join(p.store.Path(), "partial/*.part/resume.synced")
	for open := time.Second; ; open *= 2 { // until there is time for a checkpoint
		if err := p.want("HOST/app:one", func(o *Options) { o.Until = time.Now().Add(open) }, "postponed app:one"); err != nil {
			t.Fatal(err)
		}
		if made, _ := filepath.Glob(part); len(made) == 1 {
			break
		}
		if open > time.Minute {
			t.Fatal("no checkpoint in a minute")
		}
	}
	front.mu.Lock()
	front.slow, front.ranges = false, nil
	front.mu.Unlock()
	if err := p.want("HOST/app:one", nil, "pulled app:one"); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, r := range front.ranges {
		found = found || strings.HasPrefix(r, "bytes=") && r != "bytes=0-"
	}
	if !found {
		t.Errorf("asked for %q", front.ranges)
	}
}
