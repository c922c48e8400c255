// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
)

const (
	// narrow is the width in columns below which words are left out of a line.
	narrow = 60
	// wide is the width from which on there is a bar.
	wide = 100
	// barWidth is the width of a bar, without its brackets.
	barWidth = 30
	// leastName is how many columns a reference has at least.
	leastName = 8
)

// frame returns the lines that a terminal of that size shows: one for the whole image,
// what the pull waits for, how many layers are done, and the layers at work. Each line
// leaves one column free, so that no terminal breaks it.
func (p *pull) frame(width, height int) []string {
	i := &p.image
	lines := []string{p.head(width - 1)}
	now := p.now()
	if o, any := i.outage(); any {
		lines = append(lines, "  "+o.line(now, width))
	}
	switch {
	case i.engine != "":
		lines = append(lines, "  giving to "+i.engine)
	case i.committing:
		lines = append(lines, "  committing")
	}
	if i.done+i.present > 0 {
		lines = append(lines, "  "+i.count(width))
	}
	for _, l := range i.atWork() {
		lines = append(lines, "  "+l.line(i.total, width))
	}
	lines = lines[:min(len(lines), max(height-1, 1))]
	for n := range lines {
		lines[n] = terminal.Clip(lines[n], width-1)
	}
	return lines
}

// head returns the line for the whole image.
func (p *pull) head(width int) string {
	i := &p.image
	name, figures := i.ref, ""
	if i.of > 1 {
		name = fmt.Sprintf("%d/%d %s", i.number, i.of, i.ref)
	}
	m := &i.meter
	if m.total > 0 {
		gap, left := "  ", ""
		if width < narrow {
			gap = " "
		}
		if l := m.left(); l >= 0 && m.got < m.total {
			left = gap + terminal.Bytes(int64(m.rate())) + "/s" + gap + span(l)
			if width >= narrow {
				left += " left"
			}
		}
		figures = gap + fmt.Sprintf("%d %% of %s", m.percent(), terminal.Bytes(m.total)) + left
		if width >= wide {
			figures = gap + bar(m) + figures
		}
	}
	return tail(name, max(width-utf8.RuneCountInString(figures), leastName)) + figures
}

// bar draws how much has come.
func bar(m *meter) string {
	full := int(m.percent() * barWidth / 100)
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", barWidth-full) + "]"
}

// tail returns a name, or the end of a name that is too long.
func tail(name string, columns int) string {
	name = terminal.Escape(name)
	n := utf8.RuneCountInString(name)
	if n <= columns {
		return name
	}
	return "…" + name[terminal.ByteIndex(name, n-columns+1):]
}

// count returns how many layers are done, in words.
func (i *image) count(width int) string {
	text := fmt.Sprintf("%d of %d layers done", i.done+i.present, i.total)
	switch {
	case i.present == 0 || width < narrow:
	case i.present == 1:
		text += ", 1 was there"
	default:
		text += fmt.Sprintf(", %d were there", i.present)
	}
	return text
}

// line says which host the pull waits for, and why.
func (o outage) line(now time.Time, width int) string {
	wait := max(o.until.Sub(now), 0)
	if width < narrow {
		return fmt.Sprintf("retry %d/%d in %s: %s", o.Round, o.Rounds, span(wait), cause(o.Retry))
	}
	return retrying(o.Retry, wait)
}

// line says how far a layer is.
func (l layer) line(of, width int) string {
	name := fmt.Sprintf("layer %d/%d", l.number, of)
	switch {
	case l.waiting && width < narrow:
		return name + "  another process has it"
	case l.waiting:
		return name + "  another process is fetching it"
	case l.size <= 0:
		return name
	}
	text := fmt.Sprintf("%s  %3d %% of %s", name, min(l.offset, l.size)*100/l.size, terminal.Bytes(l.size))
	if l.offset >= l.size {
		text = name + "  unpacking"
	}
	if l.again && width >= narrow {
		text += ", once more after damage"
	}
	return text
}

// redrawEvery is how often a screen is drawn.
const redrawEvery = 200 * time.Millisecond
