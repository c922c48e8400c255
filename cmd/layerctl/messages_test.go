// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

var updateMessages = flag.Bool("update", false, "write docs/messages.md anew, with what the command says now")

// message is one row of docs/messages.md: a mistake, and what is said of it.
type message struct {
	happened, typed  string
	code, line, hint string
}

// TestMessages makes each mistake of docs/messages.md, in the short form each third,
// and compares the exit code, the line and the hint with what stands there.
func TestMessages(t *testing.T) {
	const least = 60
	doc, err := filepath.Abs("../../docs/messages.md")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	hello := absoluteHello(t)
	lines := strings.Split(string(raw), "\n")
	rows, seen := 0, map[string]bool{}
	for i, line := range lines {
		row, ok := parseMessage(line)
		if !ok {
			continue
		}
		if rows++; seen[row.happened] {
			t.Errorf("%q stands twice", row.happened)
		}
		seen[row.happened] = true
		if !full() && !*updateMessages && rows%3 != 0 {
			continue
		}
		t.Run(row.happened, func(t *testing.T) {
			got := makeMistake(t, hello, row)
			switch {
			case got == row:
			case *updateMessages:
				lines[i] = got.String()
			default:
				t.Errorf("%s\ngot  %s: %s\n     hint: %s\nwant %s: %s\n     hint: %s", row.typed, got.code, got.line, got.hint, row.code, row.line, row.hint)
			}
		})
	}
	if rows < least {
		t.Errorf("%d mistakes, want %d at the least", rows, least)
	}
	for happened := range worlds {
		if !seen[happened] {
			t.Errorf("no row says what happens where %s", happened)
		}
	}
	if *updateMessages {
		if err := os.WriteFile(doc, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// parseMessage reads a row whose second cell is a command line.
func parseMessage(line string) (message, bool) {
	if !strings.HasPrefix(line, "| ") {
		return message{}, false
	}
	const bar = "\x00"
	cells := strings.Split(strings.Trim(strings.ReplaceAll(line, `\|`, bar), "|"), "|")
	for i := range cells {
		cells[i] = strings.ReplaceAll(strings.TrimSpace(cells[i]), bar, "|")
	}
	if len(cells) != 5 || !strings.HasPrefix(cells[1], "`") {
		return message{}, false
	}
	return message{cells[0], strings.Trim(cells[1], "`"), cells[2], cells[3], cells[4]}, true
}

// String is the row.
func (m message) String() string {
	cells := []string{m.happened, "`" + m.typed + "`", m.code, m.line, m.hint}
	for i := range cells {
		cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
	}
	return strings.TrimRight("| "+strings.Join(cells, " | ")+" |", " ")
}

// makeMistake runs the command of the row in the world that it needs.
func makeMistake(t *testing.T, hello string, row message) message {
	w := newWorld(t, hello)
	if make := worlds[row.happened]; make != nil {
		make(w)
	}
	words, stdout, file := w.words(row.typed)
	defer file()
	var stderr bytes.Buffer
	code := run(words, strings.NewReader(w.stdin), stdout, &stderr)
	got := message{happened: row.happened, typed: row.typed, code: fmt.Sprint(code)}
	var said, hints []string
	for _, line := range strings.Split(w.told(stderr.String()), "\n") {
		if text, ok := strings.CutPrefix(line, "layerctl: error: "); ok {
			said = append(said, text)
		}
		if text, ok := strings.CutPrefix(line, "layerctl: hint: "); ok {
			hints = append(hints, text)
		}
	}
	got.line, got.hint = strings.Join(said, "<br>"), strings.Join(hints, "<br>")
	if len(said) == 0 {
		t.Errorf("no line of error: %s", &stderr)
	}
	return got
}

// words are those of a command line as a shell makes them, and its standard
// output: "> FILE" at the end names another one.
func (w *world) words(typed string) (words []string, stdout *os.File, end func()) {
	typed, output, found := strings.Cut(typed, " > ")
	if !found {
		output = os.DevNull
	}
	for _, word := range regexp.MustCompile(`'[^']*'|[^ ']+`).FindAllString(typed, -1) {
		words = append(words, w.real(strings.Trim(word, "'")))
	}
	if !strings.Contains(typed, "--retry") {
		words = append([]string{words[0], "--retry", "0"}, words[1:]...)
	}
	fd, err := syscall.Open(output, syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), os.Stdout.Name())
	return words, f, func() { f.Close() }
}

// real is a text with the names of this run in place of the table's.
func (w *world) real(text string) string {
	for _, n := range w.names {
		text = strings.ReplaceAll(text, n.table, n.here)
	}
	return text
}

// told is a text with the table's names.
func (w *world) told(text string) string {
	for _, n := range w.names {
		text = strings.ReplaceAll(text, n.here, n.table)
	}
	// How much is free is the machine's.
	text = regexp.MustCompile(`[0-9]+( bytes free| are free| are needed)`).ReplaceAllString(text, "N$1")
	return strings.ReplaceAll(text, time.Now().UTC().Format("2006-01-02"), "TODAY")
}

func absoluteHello(t *testing.T) string {
	hello, err := filepath.Abs(helloLayout)
	if err != nil {
		t.Fatal(err)
	}
	return hello
}
