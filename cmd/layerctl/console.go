// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// console writes what is for people: one line a thing, to standard error. It
// may be used by several goroutines.
type console struct {
	mu sync.Mutex
	w  io.Writer
}

func newConsole(w io.Writer) *console { return &console{w: w} }

// fail prints the error, and the hint that it or an error inside it carries.
func (c *console) fail(err error) {
	c.line("error", err.Error())
	if hint := hintOf(err); hint != "" {
		c.line("hint", hint)
	}
}

func (c *console) warn(format string, args ...any) { c.line("warning", fmt.Sprintf(format, args...)) }

func (c *console) hint(format string, args ...any) { c.line("hint", fmt.Sprintf(format, args...)) }

// say prints a line that is neither an error nor a warning.
func (c *console) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Nothing can be done about a standard error that does not take a line.
	_, _ = fmt.Fprintf(c.w, "layerctl: %s\n", printable(fmt.Sprintf(format, args...)))
}

func (c *console) line(kind, text string) { c.say("%s: %s", kind, text) }

// hinted is an error that knows what its reader can do about it.
type hinted interface{ Hint() string }

func hintOf(err error) string {
	var h hinted
	if errors.As(err, &h) {
		return h.Hint()
	}
	return defaultHint(err)
}

// printable escapes what could change a terminal's state or break the one
// line: names in errors may come from an image or a registry.
func printable(s string) string {
	if !strings.ContainsFunc(s, unprintable) && strings.ToValidUTF8(s, "") == s {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == unicode.ReplacementChar && !strings.HasPrefix(s[i:], string(unicode.ReplacementChar)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unprintable(r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }
