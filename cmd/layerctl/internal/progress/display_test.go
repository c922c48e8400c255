// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
)

// clock is a time that the test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) wait(d time.Duration)    { c.at = c.at.Add(d) }
func (c *clock) start() func() time.Time { c.at = time.Unix(1000, 0); return c.now }

// story is a pull of an image of 40 layers with an outage in the middle, told to
// a display. After each chapter it calls look with the chapter's name.
func story(d Display, c *clock, look func(chapter string)) {
	const of = 40
	const ref = "registry.example.com:5000/team/application:2.31.4"
	const size = 10_000_000
	tell := func(kind progress.Kind, n int, offset int64) {
		e := eventOf(kind, fmt.Sprint(n), size, offset)
		e.Number, e.Of = n, of
		d.Event(ref, e)
	}
	d.Begin(ref, 3, 7)
	look("begun")
	tell(progress.LayerPresent, 1, 0)
	tell(progress.LayerPresent, 2, 0)
	for n := 3; n <= of; n++ {
		tell(progress.LayerMissing, n, 0)
	}
	for n := 3; n <= 12; n++ {
		tell(progress.LayerProgress, n, 0)
		c.wait(2 * time.Second)
		tell(progress.LayerProgress, n, size)
		tell(progress.LayerDone, n, size)
	}
	tell(progress.LayerProgress, 13, 0)
	tell(progress.LayerProgress, 14, 0)
	tell(progress.LayerWaiting, 15, 0)
	c.wait(time.Second)
	tell(progress.LayerProgress, 13, 4_200_000)
	tell(progress.LayerProgress, 14, size)
	look("on its way")
	reset := &registry.Retry{Host: "registry.example.com:5000", Round: 4, Rounds: 10, Wait: 8 * time.Second, Err: fmt.Errorf("read: %w", syscall.ECONNRESET)}
	d.Retry(*reset)
	d.Retry(*reset) // by another stream
	c.wait(2 * time.Second)
	look("outage")
	d.Retry(registry.Retry{Host: reset.Host})
	d.Retry(registry.Retry{Host: reset.Host})
	tell(progress.LayerAgain, 13, 0)
	look("after it")
	for n := 13; n <= of; n++ {
		tell(progress.LayerProgress, n, size)
		tell(progress.LayerDone, n, size)
		c.wait(time.Second)
	}
	tell(progress.Committing, 0, 0)
	look("committing")
	d.Giving("containerd")
	look("giving")
	d.Finish()
	d.Failed(6, "a layer is damaged")
	d.Begin("alpine", 4, 7)
	d.Finish()
	d.Summary()
	look("over")
}

// golden compares with a file of testdata, which LAYERCTL_UPDATE=1 writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("LAYERCTL_UPDATE") == "1" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not\n%s\nbut\n%s", file, want, got)
	}
}

// What a screen shows at each width is in testdata/screen-*.txt.
func TestScreen(t *testing.T) {
	for _, width := range []int{40, 80, 200} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			var c clock
			s := &screen{w: io.Discard, console: terminal.NewConsole(io.Discard), size: func() (int, int) { return width, 24 }, pull: newPull(c.start())}
			var all strings.Builder
			story(s, &c, func(chapter string) {
				fmt.Fprintf(&all, "-- %s --\n", chapter)
				if chapter == "over" {
					fmt.Fprintln(&all, s.pull.summary())
					return
				}
				for _, line := range s.pull.frame(width, 24) {
					if n := utf8.RuneCountInString(line); n >= width {
						t.Errorf("%s: %d columns of %d: %q", chapter, n, width, line)
					}
					fmt.Fprintln(&all, line)
				}
			})
			golden(t, fmt.Sprintf("screen-%d.txt", width), all.String())
		})
	}
}

// The cursor stands at the beginning of what is drawn, and what others write
// comes above it.
func TestScreenClearsWhatItDrew(t *testing.T) {
	var out bytes.Buffer
	var c clock
	s := &screen{w: &out, console: terminal.NewConsole(&out), size: func() (int, int) { return 30, 5 }, pull: newPull(c.start())}
	s.pull.begin("alpine", 1, 1)
	s.pull.event("alpine", eventOf(progress.LayerProgress, "a", 1000, 500))
	s.draw()
	const frame = "\r\x1b[Jalpine 50 % of 1.0 kB\r\n  layer 1/2   50 % of 1.0 kB\r\x1b[1A"
	if out.String() != frame {
		t.Errorf("drawn as %q", &out)
	}
	out.Reset()
	if n, err := s.Write([]byte("a warning\n")); n != 10 || err != nil {
		t.Error(n, err)
	}
	if want := "\r\x1b[Ja warning\n" + frame; out.String() != want {
		t.Errorf("a line of others: %q", &out)
	}
	out.Reset()
	s.Finish()
	if want := "\r\x1b[J"; out.String() != want {
		t.Errorf("at the end: %q", &out)
	}
}

// What a log gets is in testdata/log.txt, and what --progress json in
// testdata/lines.json.
func TestLog(t *testing.T) {
	var c clock
	var out bytes.Buffer
	story(&plain{console: terminal.NewConsole(&out), pull: newPull(c.start())}, &c, func(string) {})
	golden(t, "log.txt", out.String())
	for line := range strings.Lines(out.String()) {
		if !strings.Contains(line, "application:2.31.4: ") && !strings.Contains(line, "alpine: ") && !strings.Contains(line, "pulled ") {
			t.Errorf("no reference: %q", line)
		}
	}
}

func TestJSONLines(t *testing.T) {
	var c clock
	var out bytes.Buffer
	story(&jsonLines{w: &out, pull: newPull(c.start())}, &c, func(string) {})
	golden(t, "lines.json", out.String())
	for line := range strings.Lines(out.String()) {
		var e struct{ Event string }
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Event == "" {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestCause(t *testing.T) {
	for want, r := range map[string]registry.Retry{
		"503 Service Unavailable": {Status: 503, Err: errors.New("GET: 503")},
		"connection reset":        {Err: fmt.Errorf("read: %w", syscall.ECONNRESET)},
		"connection refused":      {Err: syscall.ECONNREFUSED},
		"connection closed":       {Err: io.ErrUnexpectedEOF},
		"no answer in time":       {Err: os.ErrDeadlineExceeded},
		"416 no such range":       {Err: errors.New("GET http://a.example/v2/a/blobs/sha256:" + strings.Repeat("a", 64) + ": 416 no such range")},
		"at byte 7: stalled":      {Host: "a.example:1", Err: errors.New("a.example:1 at byte 7: stalled")},
		`odd\n`:                   {Err: fmt.Errorf("GET: %w", errors.New("odd\n"))},
	} {
		if got := cause(r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0 s", 59 * time.Second: "59 s", 185 * time.Second: "3 min 5 s", 130 * time.Minute: "2 h 10 min", 59_600 * time.Millisecond: "1 min 0 s"} {
		if got := span(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}
