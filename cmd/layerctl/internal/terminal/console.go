// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"fmt"
	"io"
	"sync"
)

// Console writes messages for people to standard error, each in one line. It may be used
// by several goroutines. Everything that it prints is escaped by [Escape].
type Console struct {
	mu sync.Mutex
	w  io.Writer
}

// NewConsole returns a console that writes to w.
func NewConsole(w io.Writer) *Console { return &Console{w: w} }

// Fail prints an error and the hint what to do about it, which may be "".
func (c *Console) Fail(problem, hint string) {
	c.line("error", problem)
	if hint != "" {
		c.line("hint", hint)
	}
}

// Warn prints a warning.
func (c *Console) Warn(format string, args ...any) { c.line("warning", fmt.Sprintf(format, args...)) }

// Hint prints a hint.
func (c *Console) Hint(format string, args ...any) { c.line("hint", fmt.Sprintf(format, args...)) }

// Say prints a line that is neither an error nor a warning.
func (c *Console) Say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// There is no place to report an error of standard error.
	_, _ = fmt.Fprintf(c.w, "layerctl: %s\n", Escape(fmt.Sprintf(format, args...)))
}

func (c *Console) line(kind, text string) { c.Say("%s: %s", kind, text) }
