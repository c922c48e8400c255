// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"fmt"
	"io"
	"sync"
)

// Console writes what is for people: one line a thing, to standard error. It
// may be used by several goroutines.
type Console struct {
	mu sync.Mutex
	w  io.Writer
}

// NewConsole is a console on w.
func NewConsole(w io.Writer) *Console { return &Console{w: w} }

// Fail prints an error and, where there is one, the hint what to do about it.
func (c *Console) Fail(problem, hint string) {
	c.line("error", problem)
	if hint != "" {
		c.line("hint", hint)
	}
}

// Warn prints what the user should know.
func (c *Console) Warn(format string, args ...any) { c.line("warning", fmt.Sprintf(format, args...)) }

// Hint prints what the user can do.
func (c *Console) Hint(format string, args ...any) { c.line("hint", fmt.Sprintf(format, args...)) }

// Say prints a line that is neither an error nor a warning.
func (c *Console) Say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Nothing can be done about a standard error that does not take a line.
	_, _ = fmt.Fprintf(c.w, "layerctl: %s\n", Escape(fmt.Sprintf(format, args...)))
}

func (c *Console) line(kind, text string) { c.Say("%s: %s", kind, text) }
