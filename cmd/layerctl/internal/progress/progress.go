// SPDX-License-Identifier: Apache-2.0

// Package progress shows on standard error what a pull is doing: as bars, as
// lines of a log, or as lines of JSON.
package progress

import (
	"io"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
)

// Display shows what a pull is doing, on standard error.
type Display interface {
	// Event takes one step of the pull of ref; several goroutines call it.
	Event(ref string, e progress.Event)
	// Finish ends the display of one pull.
	Finish()
	// Traffic says, after it, who has sent the layers of ref.
	Traffic(ref string, sent []registry.Traffic)
}

// Modes are the words that [New] knows.
func Modes() []string { return []string{"auto", "tty", "plain", "json", "none"} }

// New makes the display of a mode, on standard error; it is nil for a mode
// that is none. Auto draws bars on a terminal and writes lines into a log.
func New(mode string, w io.Writer) Display {
	if mode == "auto" {
		mode = "plain"
		if terminal.Is(w) {
			mode = "tty"
		}
	}
	switch mode {
	case "none":
		return None{}
	case "plain":
		return &plain{console: terminal.NewConsole(w)}
	case "json":
		return &jsonLines{w: w}
	case "tty":
		return newBars(w)
	default:
		return nil
	}
}

// None shows nothing.
type None struct{}

// Event implements Display.
func (None) Event(string, progress.Event) {}

// Finish implements Display.
func (None) Finish() {}

// Traffic implements Display.
func (None) Traffic(string, []registry.Traffic) {}
