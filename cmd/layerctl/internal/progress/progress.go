// SPDX-License-Identifier: Apache-2.0

// Package progress shows on standard error what a pull is doing: on a terminal,
// as lines of a log, or as lines of JSON.
package progress

import (
	"io"
	"os"
	"time"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
)

// Display shows what a pull is doing, on standard error. Several goroutines may
// call it.
type Display interface {
	// Begin is called before the pull of ref, the image number, from 1, of so many. A
	// command for one image need not call it.
	Begin(ref string, number, of int)
	// Event shows one step of the pull of ref.
	Event(ref string, e progress.Event)
	// Retry shows a pause between tries, or its end.
	Retry(r registry.Retry)
	// Giving shows that the image, which is in the store, is given to an engine.
	Giving(engine string)
	// Finish ends the display of one image.
	Finish()
	// Traffic shows, after Finish, which hosts have sent the layers of ref.
	Traffic(ref string, sent []registry.Traffic)
	// Failed is called after Finish if the image failed, with the exit code and the
	// error's line. Only the display for programs shows them: for people the command
	// prints the error.
	Failed(code int, text string)
	// Summary is called after the last image.
	Summary()
}

// Modes returns the modes of [New].
func Modes() []string { return []string{"auto", "tty", "plain", "json", "none"} }

// New returns the display of a mode, which writes to w; nil if there is no such mode.
// Auto draws if w is a terminal that can be drawn on, and else writes lines for a log.
func New(mode string, w io.Writer) Display {
	if mode == "auto" {
		mode = "plain"
		if terminal.Is(w) && os.Getenv("TERM") != "dumb" {
			mode = "tty"
		}
	}
	switch mode {
	case "none":
		return None{}
	case "plain":
		return &plain{console: terminal.NewConsole(w), pull: newPull(time.Now)}
	case "json":
		return &jsonLines{w: w, pull: newPull(time.Now)}
	case "tty":
		return newScreen(w)
	default:
		return nil
	}
}

// None shows nothing.
type None struct{}

// Begin implements Display.
func (None) Begin(string, int, int) {}

// Event implements Display.
func (None) Event(string, progress.Event) {}

// Retry implements Display.
func (None) Retry(registry.Retry) {}

// Giving implements Display.
func (None) Giving(string) {}

// Finish implements Display.
func (None) Finish() {}

// Traffic implements Display.
func (None) Traffic(string, []registry.Traffic) {}

// Failed implements Display.
func (None) Failed(int, string) {}

// Summary implements Display.
func (None) Summary() {}
