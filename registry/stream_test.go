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
	"sync/atomic"
	"testing"
	"time"
)

// noise is n bytes that no one would guess.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

// hostile serves one blob under any name; it counts and misbehaves.
type hostile struct {
	body     []byte
	requests atomic.Int32
	sent     atomic.Int64
	// answer gets the number of the request, from 1 on.
	answer func(h *hostile, n int, w http.ResponseWriter, r *http.Request)
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.answer(h, int(h.requests.Add(1)), &counted{w, h, -1}, r)
}

// honest answers as a good server does, ranges and all.
func (h *hostile) honest(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"the-one"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(h.body))
}

// whole is a server that knows no ranges.
func (h *hostile) whole(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = w.Write(body)
}

// part answers with any Content-Range and any bytes.
func (h *hostile) part(w http.ResponseWriter, contentRange string, body []byte) {
	w.Header().Set("Content-Range", contentRange)
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(body)
}

// counted counts what is sent, and breaks the connection after left bytes.
type counted struct {
	http.ResponseWriter
	h    *hostile
	left int // negative: never
}

func (w *counted) Write(b []byte) (int, error) {
	broken := w.left >= 0 && len(b) > w.left
	if broken {
		b = b[:w.left]
	}
	n, err := w.ResponseWriter.Write(b)
	w.h.sent.Add(int64(n))
	if w.left >= 0 {
		w.left -= n
	}
	if broken {
		w.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// Flush implements http.Flusher.
func (w *counted) Flush() { w.ResponseWriter.(http.Flusher).Flush() }

// never is a time in which an honest host answers, on whatever machine.
const never = time.Minute

// cut makes w break after n bytes of the body.
func cut(w http.ResponseWriter, n int) http.ResponseWriter {
	c := *w.(*counted)
	c.left = n
	return &c
}

// fetch reads the blob of h through a client.
func (h *hostile) fetch(t *testing.T, o Options) ([]byte, error) {
	t.Helper()
	s := serve(t, func(http.Handler) http.Handler { return h })
	o = quick(o)
	o.PlainHTTP = append(o.PlainHTTP, s.host)
	ctx, cancel := context.WithTimeout(t.Context(), 2*never)
	defer cancel()
	return readAll(ctx, open(t, New(o), s.host+"/library/hello"), describe(h.body))
}

func TestCutEvery64KiB(t *testing.T) {
	t.Parallel()
	h := &hostile{body: noise(4<<20 + 12345), answer: func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) {
		h.honest(cut(w, 64<<10), r)
	}}
	got, err := h.fetch(t, Options{})
	if err != nil || !bytes.Equal(got, h.body) {
		t.Fatalf("got %d bytes, %v, want %d", len(got), err, len(h.body))
	}
	if sent := h.sent.Load(); float64(sent) > 1.05*float64(len(h.body)) {
		t.Errorf("%d bytes were sent for %d", sent, len(h.body))
	}
	t.Logf("%d bytes sent for %d, %d requests", h.sent.Load(), len(h.body), h.requests.Load())
}

// TestFaultsThatEndWell lets the first request break at half, and the second
// one do what the case says. Whatever follows is honest.
func TestFaultsThatEndWell(t *testing.T) {
	const size, half = 300_000, 150_000
	total := fmt.Sprintf("/%d", size)
	tests := []struct {
		name   string
		second func(h *hostile, w http.ResponseWriter, r *http.Request)
		after  func(h *hostile, w http.ResponseWriter, r *http.Request) // nil: honest
		// requests is how many it takes, where that shows whether the second
		// answer was believed; 0 where it may vary.
		requests int32
		stalls   bool
	}{
		{name: "a good range", requests: 2, second: (*hostile).honestly},
		{name: "no ranges", requests: 2, second: func(h *hostile, w http.ResponseWriter, _ *http.Request) { h.whole(w, h.body) }},
		{name: "a part that begins earlier", requests: 3, second: func(h *hostile, w http.ResponseWriter, _ *http.Request) {
			h.part(w, fmt.Sprintf("bytes %d-%d", half-10, size-1)+total, h.body[half-10:])
		}},
		{name: "a part that begins later", requests: 3, second: func(h *hostile, w http.ResponseWriter, _ *http.Request) {
			h.part(w, fmt.Sprintf("bytes %d-%d", half+10, size-1)+total, h.body[half+10:])
		}},
		{name: "a part of another whole", requests: 3, second: func(h *hostile, w http.ResponseWriter, _ *http.Request) {
			h.part(w, fmt.Sprintf("bytes %d-%d/%d", half, size-1, size+1), h.body[half:])
		}},
		{name: "a part of an unknown whole", requests: 3, second: func(h *hostile, w http.ResponseWriter, _ *http.Request) {
			h.part(w, fmt.Sprintf("bytes %d-%d/*", half, size-1), h.body[half:])
		}},
		{name: "a part without Content-Range", requests: 3, second: func(h *hostile, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(h.body[half:])
		}},
		{name: "several parts", requests: 3, second: func(h *hostile, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "multipart/byteranges; boundary=x")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "--x\r\n\r\n")
		}},
		{name: "a part of another length", requests: 3, second: func(h *hostile, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			h.part(w, fmt.Sprintf("bytes %d-%d", half, size-1)+total, h.body[half:half+5])
		}},
		{name: "a part with more than it says", second: func(h *hostile, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Transfer-Encoding", "chunked")
			h.part(w, fmt.Sprintf("bytes %d-%d", half, half+99)+total, append(h.body[half:half+100:half+100], "evil"...))
		}},
		{name: "a smaller part", second: func(h *hostile, w http.ResponseWriter, _ *http.Request) {
			h.part(w, fmt.Sprintf("bytes %d-%d", half, half+99)+total, h.body[half:half+100])
		}},
		{name: "416", second: status(http.StatusRequestedRangeNotSatisfiable, "")},
		{name: "500", second: status(http.StatusInternalServerError, "")},
		{name: "502 and no ranges", second: status(http.StatusBadGateway, ""), after: func(h *hostile, w http.ResponseWriter, _ *http.Request) {
			h.whole(w, h.body)
		}},
		{name: "429 with seconds", second: status(http.StatusTooManyRequests, "0")},
		{name: "503 with a date", second: status(http.StatusServiceUnavailable, "Fri, 31 Dec 1999 23:59:59 GMT")},
		{name: "another tag", second: func(h *hostile, w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-Range") != `"the-one"` {
				t.Errorf("got If-Range %q", r.Header.Get("If-Range"))
			}
			w.Header().Set("ETag", `"another"`)
			h.whole(cut(w, half+1000), h.body)
		}},
		{name: "nothing at all", second: func(*hostile, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{name: "a stall", stalls: true, second: func(h *hostile, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(size))
			_, _ = w.Write(h.body[:half+10])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}},
		{name: "a slow loris", stalls: true, second: func(h *hostile, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d", half, size-1)+total)
			w.WriteHeader(http.StatusPartialContent)
			for i := half; r.Context().Err() == nil && i < half+1000; i++ {
				_, _ = w.Write(h.body[i : i+1])
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}},
		{name: "no headers", stalls: true, second: func(_ *hostile, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &hostile{body: noise(size)}
			h.answer = func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
				switch {
				case n == 1:
					h.honest(cut(w, half), r)
				case n == 2:
					tt.second(h, w, r)
				case tt.after != nil:
					tt.after(h, w, r)
				default:
					h.honest(w, r)
				}
			}
			patience := never
			if tt.stalls {
				patience = time.Second
			}
			got, err := h.fetch(t, Options{StallTimeout: patience})
			if err != nil || !bytes.Equal(got, h.body) {
				t.Errorf("got %d bytes, %v, want %d", len(got), err, size)
			}
			if n := h.requests.Load(); n < 2 || n > 4 || tt.requests != 0 && n != tt.requests {
				t.Errorf("got %d requests", n)
			}
		})
	}
}

func (h *hostile) honestly(w http.ResponseWriter, r *http.Request) { h.honest(w, r) }

func status(code int, retryAfter string) func(*hostile, http.ResponseWriter, *http.Request) {
	return func(_ *hostile, w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(code)
	}
}

func TestFaultsThatEndBadly(t *testing.T) {
	const size = 300_000
	flipped := noise(size)
	flipped[size-5] ^= 0x20
	early := noise(size)
	early[5] ^= 0x20
	tests := []struct {
		name   string
		answer func(h *hostile, n int, w http.ResponseWriter, r *http.Request)
		kind   error
		words  string
		most   int32 // requests
	}{
		{"a flipped byte", func(h *hostile, _ int, w http.ResponseWriter, _ *http.Request) { h.whole(w, flipped) }, ErrMismatch, "came sha256:", 1},
		{"a flipped byte in the resumed part", func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
			if n > 1 {
				h.body = flipped
			}
			h.honest(cut(w, size/2), r)
		}, ErrMismatch, "(resumed)", 3},
		{"other bytes than before", func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
			if n > 1 {
				h.whole(w, early)
				return
			}
			h.honest(cut(w, size/2), r)
		}, ErrMismatch, "the first 150000 bytes are others", 2},
		{"no ranges, and always cut", func(h *hostile, _ int, w http.ResponseWriter, _ *http.Request) {
			h.whole(cut(w, size/2), h.body)
		}, ErrNetwork, "at byte 150000", 6},
		{"500 for ever", func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) { status(500, "")(h, w, r) }, ErrNetwork, "500", 4},
		{"429 for hours", func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) { status(429, "7200")(h, w, r) }, ErrNetwork, "429", 1},
		{"403 in the middle", func(h *hostile, n int, w http.ResponseWriter, r *http.Request) {
			if n > 1 {
				status(403, "")(h, w, r)
				return
			}
			h.honest(cut(w, size/2), r)
		}, ErrDenied, "403", 3}, // the rest, and the whole
		{"an encoding", func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Accept-Encoding"); got != "identity" {
				t.Errorf("got Accept-Encoding %q", got)
			}
			w.Header().Set("Content-Encoding", "br")
			h.whole(w, h.body[:size/2])
		}, ErrNetwork, "Content-Encoding", 1},
		{"more than was described", func(h *hostile, _ int, w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush() // chunked
			_, _ = w.Write(append(h.body[:size:size], 'x'))
		}, ErrMismatch, "came more than", 1},
		{"another length at once", func(h *hostile, _ int, w http.ResponseWriter, _ *http.Request) { h.whole(w, h.body[:size-1]) }, ErrMismatch, "299999 of 300000", 1},
		{"an end too early", func(h *hostile, _ int, w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush() // chunked, with a proper end
			_, _ = w.Write(h.body[:size/2])
		}, ErrNetwork, "at byte 150000", 6},
		{"a part that was not asked for", func(h *hostile, _ int, w http.ResponseWriter, _ *http.Request) {
			h.part(w, "bytes 0-299999/300000", h.body)
		}, ErrNetwork, "206", 1},
		{"a byte for each request", func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) {
			first := 0
			if r.Header.Get("Range") != "" {
				first, _ = asked(r)
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, size-1, size))
			if w.Header().Set("Content-Length", fmt.Sprint(size-first)); first > 0 {
				w.WriteHeader(http.StatusPartialContent)
			}
			_, _ = w.Write(h.body[first : first+1])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, ErrNetwork, "stalled", 8},
		{"twenty bytes for each request", func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) {
			time.Sleep(150 * time.Millisecond)
			first := 0
			if r.Header.Get("Range") != "" {
				first, _ = asked(r)
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, size-1, size))
			if w.Header().Set("Content-Length", fmt.Sprint(size-first)); first > 0 {
				w.WriteHeader(http.StatusPartialContent)
			}
			_, _ = w.Write(h.body[first : first+20])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, ErrNetwork, "at byte", 8},
		{"a slow loris for ever", func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			for r.Context().Err() == nil {
				_, _ = w.Write(h.body[:1])
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}, ErrNetwork, "stalled", 40},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &hostile{body: noise(size), answer: tt.answer}
			want := h.body
			s := serve(t, func(http.Handler) http.Handler { return h })
			o := plain(s)
			if o.StallTimeout = never; tt.words == "stalled" {
				o.StallTimeout = 300 * time.Millisecond
			}
			_, err := readAll(t.Context(), open(t, New(o), s.host+"/library/hello"), describe(want))
			wantError(t, err, tt.kind, tt.words)
			if n := h.requests.Load(); n > tt.most {
				t.Errorf("got %d requests, want at most %d", n, tt.most)
			}
		})
	}
}

func TestTokenExpiresInTheMiddle(t *testing.T) {
	t.Parallel()
	ts := tokenServer(t)
	ts.lifetime = 3 // requests
	h := &hostile{body: noise(1 << 20), answer: func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) {
		h.honest(cut(w, 64<<10), r)
	}}
	s := serve(t, func(http.Handler) http.Handler { return ts.protect(h) })
	got, err := readAll(t.Context(), open(t, New(plain(s)), s.host+"/library/hello"), describe(h.body))
	if err != nil || !bytes.Equal(got, h.body) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if ts.given < 3 {
		t.Errorf("got %d tokens", ts.given)
	}
}

func TestCancelInTheMiddle(t *testing.T) {
	h := &hostile{body: noise(1 << 20), answer: func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(h.body)))
		_, _ = w.Write(h.body[:1000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}}
	s := serve(t, func(http.Handler) http.Handler { return h })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b, err := open(t, New(plain(s)), s.host+"/library/hello").Blob(ctx, describe(h.body))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := io.CopyN(io.Discard, b, 1000); err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err = io.Copy(io.Discard, b)
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrNetwork) {
		t.Errorf("got %v, want %v alone", err, context.Canceled)
	}
	if n := h.requests.Load(); n != 1 {
		t.Errorf("got %d requests, want 1", n)
	}
}

func TestEmptyBlob(t *testing.T) {
	t.Parallel()
	h := &hostile{answer: func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) { h.honest(w, r) }}
	got, err := h.fetch(t, Options{})
	if err != nil || len(got) != 0 {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestLimitedPull(t *testing.T) {
	measuresTime(t)
	h := &hostile{body: noise(400 << 10)}
	h.answer = func(h *hostile, _ int, w http.ResponseWriter, r *http.Request) { h.honest(w, r) }
	start := time.Now()
	got, err := h.fetch(t, Options{LimitRate: 400 << 10, StallTimeout: 300 * time.Millisecond})
	if err != nil || len(got) != len(h.body) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	// That it is no slower, TestLimit says on a clock of its own.
	if d := time.Since(start); d < 900*time.Millisecond {
		t.Errorf("took %v, want a second", d)
	}
}
