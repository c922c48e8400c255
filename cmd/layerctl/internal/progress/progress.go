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
	// Begin begins the pull of ref, the number-th of so many images. Commands
	// that are about one image need not call it.
	Begin(ref string, number, of int)
	// Event takes one step of the pull of ref.
	Event(ref string, e progress.Event)
	// Retry takes a pause between tries, and its end.
	Retry(r registry.Retry)
	// Giving says that the image, which is in the store, goes to an engine.
	Giving(engine string)
	// Finish ends the display of one image.
	Finish()
	// Traffic says, after it, who has sent the layers of ref.
	Traffic(ref string, sent []registry.Traffic)
	// Failed says that the image that was begun last failed, with the exit code
	// and the line that says why. A person reads that elsewhere.
	Failed(code int, text string)
	// Summary ends a pull of images.
	Summary()
}

// Modes are the words that [New] knows.
func Modes() []string { return []string{"auto", "tty", "plain", "json", "none"} }

// New makes the display of a mode, on standard error; it is nil for a mode
// that is none. Auto draws on a terminal that can be drawn on and writes lines
// into a log.
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
