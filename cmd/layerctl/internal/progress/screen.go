// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
)

// screen draws on a terminal. After each drawing the cursor is at the beginning of what
// was drawn. So if the terminal is resized and breaks these lines, all of them are behind
// the cursor, and the next drawing clears them.
type screen struct {
	w       io.Writer
	console *terminal.Console
	size    func() (width, height int)

	mu    sync.Mutex
	pull  *pull
	drawn bool
	stop  chan struct{}
	ended chan struct{}
}

func newScreen(w io.Writer) *screen {
	size := func() (int, int) {
		if f, ok := w.(interface{ Fd() uintptr }); ok {
			if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 && height > 0 {
				return width, height
			}
		}
		return 80, 24
	}
	return &screen{w: w, console: terminal.NewConsole(w), size: size, pull: newPull(time.Now)}
}

// start begins to draw, at intervals and at each resize. The caller holds the lock.
func (s *screen) start() {
	if s.stop != nil {
		return
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	s.stop, s.ended = stop, ended
	s.draw()
	go func() {
		defer close(ended)
		resized := make(chan os.Signal, 1)
		signal.Notify(resized, syscall.SIGWINCH)
		defer signal.Stop(resized)
		tick := time.NewTicker(redrawEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-resized:
			case <-tick.C:
			}
			s.mu.Lock()
			s.draw()
			s.mu.Unlock()
		}
	}()
}

// draw replaces what was drawn before.
func (s *screen) draw() {
	width, height := s.size()
	lines := s.pull.frame(width, height)
	text := "\r\x1b[J" + strings.Join(lines, "\r\n") + "\r"
	if up := len(lines) - 1; up > 0 {
		text += fmt.Sprintf("\x1b[%dA", up)
	}
	// There is no place to report an error of the terminal.
	_, _ = io.WriteString(s.w, text)
	s.drawn = true
}

// clear removes what was drawn.
func (s *screen) clear() {
	if s.drawn {
		_, _ = io.WriteString(s.w, "\r\x1b[J")
		s.drawn = false
	}
}

// Write writes lines of others above what is drawn.
func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	again := s.drawn
	s.clear()
	n, err := s.w.Write(b)
	if again {
		s.draw()
	}
	return n, err
}

// Fd returns the terminal's descriptor, or an invalid one if there is none.
func (s *screen) Fd() uintptr {
	if f, ok := s.w.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}

func (s *screen) Begin(ref string, number, of int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pull.begin(ref, number, of)
	s.start()
}

func (s *screen) Event(ref string, e progress.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pull.event(ref, e)
	s.start()
}

func (s *screen) Retry(r registry.Retry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pull.retry(r)
	s.start()
}

func (s *screen) Giving(engine string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pull.image.engine = engine
	s.start()
}

func (s *screen) Finish() {
	s.mu.Lock()
	stop, ended := s.stop, s.ended
	s.stop = nil
	s.mu.Unlock()
	if stop != nil {
		close(stop)
		<-ended
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	s.pull.finish()
}

func (s *screen) Traffic(ref string, sent []registry.Traffic) { tellTraffic(s.console, ref, sent) }

func (s *screen) Failed(int, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pull.failed++
}

func (s *screen) Summary() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pull.worthSumming() {
		s.console.Say("%s", s.pull.summary())
	}
}
