// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Chunks of the tests are small, so that there are many.
const (
	testChunk  = 64 << 10
	testChunks = 17
	testSize   = 16*testChunk + 12345
)

func inRanges(o Options, ranges int) Options {
	o.Ranges, o.chunk = ranges, testChunk
	return o
}

func asked(r *http.Request) (first, last int) {
	if n, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); n != 2 || err != nil {
		return 0, -1
	}
	return first, last
}

// partOf answers a request for a range with these bytes of the body.
func (h *hostile) partOf(w http.ResponseWriter, first, last int) {
	h.part(w, fmt.Sprintf("bytes %d-%d/%d", first, last, len(h.body)), h.body[first:last+1])
}

func TestChunks(t *testing.T) {
	tests := []struct {
		name string
		// fault answers the fault-th request.
		fault func(h *hostile, w http.ResponseWriter, r *http.Request)
		// always answers all of them.
		always func(h *hostile, n int, w http.ResponseWriter, r *http.Request)
		sent   float64 // at most, as a part of the blob
		// requests is how many it takes, 0 where that varies.
		requests int32
	}{
		{name: "no fault", sent: 1, requests: testChunks, fault: (*hostile).honestly},
		{name: "cut in each chunk", sent: 1.05, requests: 3*testChunks + 1 - 3, always: func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) {
			h.honest(cut(w, 24<<10), r)
		}},
		{name: "no ranges", sent: 1, requests: 1, always: func(h *hostile, _ int, w http.ResponseWriter, _ *http.Request) { h.whole(w, h.body) }},
		{name: "no ranges, and cut", sent: 2, requests: 2, always: func(h *hostile, n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				w = cut(w, testSize/2)
			}
			h.whole(w, h.body)
		}},
		{name: "no ranges from the fifth on", sent: 8, always: func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
			if n < 5 {
				h.honest(w, r)
				return
			}
			h.whole(w, h.body)
		}},
		{name: "one whole answer", sent: 8, fault: func(h *hostile, w http.ResponseWriter, _ *http.Request) { h.whole(w, h.body) }},
		{name: "another part", sent: 2.1, fault: func(h *hostile, w http.ResponseWriter, r *http.Request) {
			first, last := asked(r)
			h.partOf(w, max(first-10, 1), last-10)
		}},
		{name: "a part that goes too far", sent: 2.1, fault: func(h *hostile, w http.ResponseWriter, r *http.Request) {
			first, last := asked(r)
			h.partOf(w, first, min(last+10, testSize-1))
		}},
		{name: "the end is ignored from the start", sent: 2.1, requests: 2, always: func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) {
			if first, last := asked(r); last >= 0 {
				h.partOf(w, first, testSize-1)
				return
			}
			h.whole(w, h.body)
		}},
		{name: "a smaller part", sent: 1, requests: testChunks + 1, fault: func(h *hostile, w http.ResponseWriter, r *http.Request) {
			first, _ := asked(r)
			h.partOf(w, first, first+99)
		}},
		{name: "a part with another tag", sent: 8, fault: func(h *hostile, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"another"`)
			first, last := asked(r)
			h.partOf(w, first, last)
		}},
		{name: "a part without a tag", sent: 1, requests: testChunks, fault: func(h *hostile, w http.ResponseWriter, r *http.Request) {
			first, last := asked(r)
			h.partOf(w, first, last)
		}},
		{name: "a tag that changes each time", sent: 8, always: func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", fmt.Sprintf(`"%d"`, n))
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(h.body)) // knows If-Range
		}},
		{name: "416", sent: 2.1, fault: status(http.StatusRequestedRangeNotSatisfiable, "")},
		{name: "500", sent: 1, requests: testChunks + 1, fault: status(http.StatusInternalServerError, "")},
		{name: "429", sent: 1, requests: testChunks + 1, fault: status(http.StatusTooManyRequests, "0")},
		{name: "nothing at all", sent: 1, requests: testChunks + 1, fault: func(*hostile, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{name: "a stall", sent: 1.05, fault: func(h *hostile, w http.ResponseWriter, r *http.Request) {
			first, last := asked(r)
			w.Header().Set("Content-Length", fmt.Sprint(last-first+1))
			h.partOf(&dammed{w, r}, first, last)
		}},
	}
	for _, tt := range tests {
		places := []int{6} // in short
		switch {
		case tt.always != nil:
			places = []int{1}
		case full():
			places = []int{1, 2, 6, testChunks}
		}
		for _, at := range places {
			t.Run(fmt.Sprintf("%s/%d", tt.name, at), func(t *testing.T) {
				t.Parallel()
				h := &hostile{body: noise(testSize), answer: tt.always}
				if tt.fault != nil {
					h.answer = func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
						if n == at {
							tt.fault(h, w, r)
							return
						}
						h.honest(w, r)
					}
				}
				patience := never
				if tt.name == "a stall" {
					patience = time.Second
				}
				got, err := h.fetch(t, inRanges(Options{StallTimeout: patience}, 4))
				if err != nil || !bytes.Equal(got, h.body) {
					t.Errorf("got %d bytes, %v, want %d", len(got), err, len(h.body))
				}
				if sent := float64(h.sent.Load()) / testSize; sent > tt.sent {
					t.Errorf("%.3f of the blob was sent, want %.3f at most", sent, tt.sent)
				}
				if n := h.requests.Load(); tt.requests != 0 && at > 1 && n != tt.requests || n > 4*testChunks {
					t.Errorf("got %d requests, want %d", n, tt.requests)
				}
			})
		}
	}
}

// dammed lets half of a body through.
type dammed struct {
	http.ResponseWriter
	r *http.Request
}

func (w *dammed) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b[:len(b)/2])
	w.ResponseWriter.(http.Flusher).Flush()
	<-w.r.Context().Done()
	return n, errors.Join(err, io.ErrShortWrite)
}

// Whatever hosts do, the blob that is read to its end is the right one.
func TestChunksAndAnyFault(t *testing.T) {
	t.Parallel()
	const chunk = 4 << 10
	body, flipped := noise(9*chunk+77), noise(9*chunk+77)
	flipped[len(body)/3] ^= 1
	faults := []func(h *hostile, w http.ResponseWriter, r *http.Request){
		(*hostile).honestly,
		func(h *hostile, w http.ResponseWriter, r *http.Request) { h.honest(cut(w, chunk/3), r) },
		func(h *hostile, w http.ResponseWriter, _ *http.Request) { h.whole(w, h.body) },
		func(h *hostile, w http.ResponseWriter, _ *http.Request) { h.whole(cut(w, 5*chunk), h.body) },
		func(h *hostile, w http.ResponseWriter, r *http.Request) {
			first, last := asked(r)
			h.partOf(w, first, max(first, last-7))
		},
		func(h *hostile, w http.ResponseWriter, r *http.Request) {
			first, _ := asked(r)
			h.partOf(w, first, len(body)-1)
		},
		func(h *hostile, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"another"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(h.body))
		},
		func(_ *hostile, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"the-one"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(flipped))
		},
		status(http.StatusInternalServerError, ""), status(http.StatusRequestedRangeNotSatisfiable, ""),
		status(http.StatusTooManyRequests, "0"), status(http.StatusForbidden, ""),
	}
	right, seeds := 0, 12
	if full() {
		seeds = 150
	}
	for seed := range uint64(seeds) {
		choice := rand.New(rand.NewPCG(seed, 0))
		var mu sync.Mutex
		h := &hostile{body: body, answer: func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			i := max(choice.IntN(3*len(faults))-2*len(faults), 0)
			mu.Unlock()
			faults[i](h, w, r)
		}}
		o := inRanges(Options{}, 3)
		o.chunk = chunk
		switch got, err := h.fetch(t, o); {
		case err == nil && !bytes.Equal(got, body):
			t.Errorf("seed %d: got other bytes and no error", seed)
		case err == nil:
			right++
		case h.requests.Load() > 200:
			t.Errorf("seed %d: %d requests, %v", seed, h.requests.Load(), err)
		}
	}
	// How many do depends on what is under way when a host fails: of a dozen, all may.
	if right < seeds/5 || full() && right == seeds {
		t.Errorf("%d of %d ended well: this tests one of the two only", right, seeds)
	}
	t.Logf("%d of %d ended well", right, seeds)
}

func TestChunksThatEndBadly(t *testing.T) {
	flipped := noise(testSize)
	flipped[testSize/2] ^= 0x20
	other := noise(testSize)
	other[5] ^= 0x20
	tests := []struct {
		name   string
		answer func(h *hostile, n int, w http.ResponseWriter, r *http.Request)
		kind   error
		words  string
	}{
		{"a flipped byte", func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) {
			first, last := asked(r)
			h.part(w, fmt.Sprintf("bytes %d-%d/%d", first, last, testSize), flipped[first:last+1])
		}, ErrMismatch, "(resumed)"},
		{"another blob, as its tag says", func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
			if n < 6 {
				h.honest(w, r)
				return
			}
			r.Header.Del("If-Range")
			w.Header().Set("ETag", `"another"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(other))
		}, ErrMismatch, "are others than before"},
		{"403 in the middle", func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
			if n >= 6 {
				status(http.StatusForbidden, "")(h, w, r)
				return
			}
			h.honest(w, r)
		}, ErrDenied, "403"},
		{"503 for one chunk for ever", func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) {
			if first, _ := asked(r); first == 5*testChunk {
				status(http.StatusServiceUnavailable, "")(h, w, r)
				return
			}
			h.honest(w, r)
		}, ErrNetwork, "503"},
		{"ranges that are refused, and so is the whole", func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
			switch _, last := asked(r); {
			case last < 0:
				status(http.StatusForbidden, "")(h, w, r)
			case n > 5:
				status(http.StatusRequestedRangeNotSatisfiable, "")(h, w, r)
			default:
				h.honest(w, r)
			}
		}, ErrDenied, "403"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &hostile{body: noise(testSize), answer: tt.answer}
			_, err := h.fetch(t, inRanges(Options{}, 4))
			wantError(t, err, tt.kind, tt.words)
			if n := h.requests.Load(); n > 2*testChunks {
				t.Errorf("got %d requests", n)
			}
		})
	}
}

// Where ranges brought other bytes, or the blob is small, there are none.
func TestBlobsThatTakeOneConnection(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small": 2*testChunk - 1, "asked for again": testSize} {
		t.Run(name, func(t *testing.T) {
			var ranges atomic.Int32
			h := &hostile{body: noise(size), answer: func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Range") != "" {
					ranges.Add(1)
				}
				h.honest(w, r)
			}}
			s := serve(t, func(http.Handler) http.Handler { return h })
			src := open(t, New(inRanges(plain(s), 4)), s.host+"/library/hello")
			if name == "asked for again" {
				if n := src.Requests(describe(h.body)); n != testChunks {
					t.Errorf("%d requests were promised, want %d", n, testChunks)
				}
				if _, err := readAll(t.Context(), src, describe(h.body)); err != nil || ranges.Load() != testChunks {
					t.Fatalf("got %d ranges, %v, want %d", ranges.Load(), err, testChunks)
				}
				ranges.Store(0)
				h.requests.Store(0)
			} else if n := src.Requests(describe(h.body)); n != 1 {
				t.Errorf("%d requests were promised, want 1", n)
			}
			got, err := readAll(t.Context(), src, describe(h.body))
			if err != nil || !bytes.Equal(got, h.body) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			if n := h.requests.Load(); n != 1 || ranges.Load() != 0 {
				t.Errorf("got %d requests, %d of them for ranges, want one for the whole", n, ranges.Load())
			}
		})
	}
}

func TestChunksOverMirrorsThatDie(t *testing.T) {
	t.Parallel()
	body := noise(testSize)
	dies := func(after int) *served {
		h := &hostile{body: body, answer: func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
			switch {
			case n > after:
				panic(http.ErrAbortHandler)
			case n == after:
				w = cut(w, 1000)
			}
			h.honest(w, r)
		}}
		return serve(t, func(http.Handler) http.Handler { return h })
	}
	// The last has no ranges: the rest comes over one connection.
	lasts := map[string]func(h *hostile, n int, w http.ResponseWriter, r *http.Request){
		"ranges":    func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) { h.honest(w, r) },
		"no ranges": func(h *hostile, _ int, w http.ResponseWriter, _ *http.Request) { h.whole(w, h.body) },
	}
	for name, answer := range lasts {
		t.Run(name, func(t *testing.T) {
			one, two := dies(4), dies(7)
			last := serve(t, func(http.Handler) http.Handler { return &hostile{body: body, answer: answer} })
			o := inRanges(mirrored(t, last.host, mirrors(one, two)), 4)
			src := open(t, New(o), last.host+"/library/hello")
			got, err := readAll(t.Context(), src, describe(body))
			if err != nil || !bytes.Equal(got, body) {
				t.Fatalf("got %d bytes, %v", len(got), err)
			}
			var sum int64
			by := map[string]int64{}
			for _, t := range src.Traffic() {
				by[t.Host] = t.Bytes
				sum += t.Bytes
			}
			for _, s := range []*served{one, two, last} {
				if by[s.host] == 0 {
					t.Errorf("%s has sent nothing: %v", s.host, by)
				}
			}
			if name == "ranges" && sum != testSize {
				t.Errorf("got traffic %v, %d in all, want %d", by, sum, testSize)
			}
		})
	}
}

// slow sends so many bytes a second on each connection.
type slow struct {
	http.ResponseWriter
	rate int
}

func (w slow) Write(b []byte) (sent int, err error) {
	for len(b) > 0 && err == nil {
		piece := b[:min(len(b), w.rate/50)]
		var n int
		n, err = w.ResponseWriter.Write(piece)
		w.ResponseWriter.(http.Flusher).Flush()
		time.Sleep(time.Second * time.Duration(len(piece)) / time.Duration(w.rate))
		sent, b = sent+n, b[n:]
	}
	return sent, err
}

func TestRangesAreFasterWhereConnectionsAreSlow(t *testing.T) {
	measuresTime(t)
	body := noise(testSize)
	var mu sync.Mutex
	connections := map[string]bool{}
	h := &hostile{body: body, answer: func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		connections[r.RemoteAddr] = true
		mu.Unlock()
		h.honest(slow{w, 512 << 10}, r)
	}}
	took := map[int]time.Duration{}
	for _, ranges := range []int{1, 4} {
		clear(connections)
		start := time.Now()
		got, err := h.fetch(t, inRanges(Options{}, ranges))
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("%d ranges: got %d bytes, %v", ranges, len(got), err)
		}
		took[ranges] = time.Since(start)
		// A connection may be given back a moment too late to be used again.
		if n := len(connections); n < ranges || n > 2*ranges-1 {
			t.Errorf("%d ranges took %d connections", ranges, len(connections))
		}
	}
	if took[4] > took[1]*2/3 { // a third, on a machine that has nothing else to do
		t.Errorf("four ranges took %v, one %v", took[4], took[1])
	}
	t.Logf("%d bytes at 512 KiB/s a connection: %v over one, %v over four", len(body), took[1], took[4])
}

// A reader that takes its time is not taken for a stall of the hosts.
func TestChunksWaitForASlowReader(t *testing.T) {
	h := &hostile{body: noise(testSize), answer: func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) { h.honest(w, r) }}
	s := serve(t, func(http.Handler) http.Handler { return h })
	o := inRanges(plain(s), 4)
	o.StallTimeout = time.Second
	b, err := open(t, New(o), s.host+"/library/hello").Blob(t.Context(), describe(h.body))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := io.CopyN(io.Discard, b, testChunk/2); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(never); h.requests.Load() < 5 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(1500 * time.Millisecond)
	if n := h.requests.Load(); n != 5 {
		t.Errorf("got %d requests for the first chunk, want one for each connection and one ahead", n)
	}
	if _, err := io.Copy(io.Discard, b); err != nil {
		t.Fatal(err)
	}
	if n := h.requests.Load(); n != testChunks {
		t.Errorf("got %d requests, want %d", n, testChunks)
	}
}

func TestChunksEnd(t *testing.T) {
	var running atomic.Int32
	h := &hostile{body: noise(testSize), answer: func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Add(-1)
		first, last := asked(r)
		w.Header().Set("Content-Length", fmt.Sprint(last-first+1))
		h.partOf(&dammed{w, r}, first, last)
	}}
	s := serve(t, func(http.Handler) http.Handler { return h })
	waitFor := func(n int32) {
		t.Helper()
		for end := time.Now().Add(time.Minute); running.Load() != n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d requests are open, want %d", running.Load(), n)
			}
		}
	}
	for _, how := range []string{"closed", "cancelled"} {
		t.Run(how, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			b, err := open(t, New(inRanges(plain(s), 4)), s.host+"/library/hello").Blob(ctx, describe(h.body))
			if err != nil {
				t.Fatal(err)
			}
			waitFor(4)
			if how == "cancelled" {
				time.AfterFunc(10*time.Millisecond, cancel)
				if _, err := io.Copy(io.Discard, b); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNetwork) {
					t.Errorf("got %v, want %v alone", err, context.Canceled)
				}
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			waitFor(0)
		})
	}
}

func TestChunksKeepToTheLimit(t *testing.T) {
	measuresTime(t)
	h := &hostile{body: noise(testSize), answer: func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) { h.honest(w, r) }}
	start := time.Now()
	if _, err := h.fetch(t, inRanges(Options{LimitRate: testSize}, 4)); err != nil {
		t.Fatal(err)
	}
	// That it is no slower, TestLimit says on a clock of its own.
	if d := time.Since(start); d < 900*time.Millisecond {
		t.Errorf("took %v, want a second", d)
	}
}

func TestTokenExpiresBetweenChunks(t *testing.T) {
	t.Parallel()
	ts := tokenServer(t)
	ts.lifetime = 10 // requests, of four workers
	h := &hostile{body: noise(testSize), answer: func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) { h.honest(w, r) }}
	s := serve(t, func(http.Handler) http.Handler { return ts.protect(h) })
	got, err := readAll(t.Context(), open(t, New(inRanges(plain(s), 4)), s.host+"/library/hello"), describe(h.body))
	if err != nil || !bytes.Equal(got, h.body) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if ts.given < 2 || ts.given > testChunks {
		t.Errorf("got %d tokens", ts.given)
	}
}

// serveHTTP2 serves blobs over HTTP/2 and 1.1, and tells over which connection
// it was asked.
func serveHTTP2(t *testing.T, h *hostile) (s *served, connections func() []string) {
	var mu sync.Mutex
	var seen []string
	honest := h.answer
	h.answer = func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Proto+" "+r.RemoteAddr)
		mu.Unlock()
		honest(h, n, w, r)
	}
	s = serveWith(t, func(http.Handler) http.Handler { return h }, func(s *httptest.Server) {
		s.EnableHTTP2 = true
		s.StartTLS()
	})
	return s, func() []string {
		mu.Lock()
		defer mu.Unlock()
		all := slices.Clone(seen)
		slices.Sort(all)
		return slices.Compact(all)
	}
}

// All that is asked of a host goes over one connection, except ranges.
func TestHTTP2(t *testing.T) {
	for _, ranges := range []int{0, 4} {
		h := &hostile{body: noise(testSize), answer: func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
			time.Sleep(20 * time.Millisecond)
			h.honest(w, r)
		}}
		s, connections := serveHTTP2(t, h)
		src := open(t, New(inRanges(trust(t, quick(Options{}), s), ranges)), s.host+"/library/hello")
		small := h.body[:1000]
		_, err := readAll(t.Context(), src, describe(small)) // connects; the host has another blob
		wantError(t, err, ErrMismatch)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				got, err := readAll(t.Context(), src, describe(h.body))
				if err != nil || !bytes.Equal(got, h.body) {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
			})
		}
		wg.Wait()
		got := map[string]int{}
		for _, c := range connections() {
			proto, _, _ := strings.Cut(c, " ")
			got[proto]++
		}
		if got["HTTP/2.0"] != 1 || got["HTTP/1.1"] < ranges || got["HTTP/1.1"] > 2*ranges {
			t.Errorf("%d ranges: got connections %v, want one of HTTP/2, and of HTTP/1.1 one for each range", ranges, got)
		}
	}
}

// What is not read is held by the host, save a buffer.
func TestStreamBuffer(t *testing.T) {
	measuresTime(t)
	for buffer, want := range map[int64]int64{0: 4 << 20, 1 << 20: 1 << 20} {
		h := &hostile{body: noise(8 << 20), answer: func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) { h.honest(w, r) }}
		s, _ := serveHTTP2(t, h)
		b, err := open(t, New(trust(t, quick(Options{StreamBuffer: buffer}), s)), s.host+"/library/hello").Blob(t.Context(), describe(h.body))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		for end := time.Now().Add(never); h.sent.Load() < want*3/4 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		for last := int64(-1); last != h.sent.Load(); time.Sleep(200 * time.Millisecond) {
			last = h.sent.Load()
		}
		if sent := h.sent.Load(); sent < want*3/4 || sent > want*5/4 {
			t.Errorf("a buffer of %d: %d bytes were sent ahead, want %d", buffer, sent, want)
		}
	}
}
