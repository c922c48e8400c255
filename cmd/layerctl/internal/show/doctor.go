// SPDX-License-Identifier: Apache-2.0

package show

import (
	"io"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaymount"
)

// Diagnosis is what doctor --json prints.
type Diagnosis struct {
	Version string        `json:"version"`
	Store   string        `json:"store"`
	Checks  []checkOfHost `json:"checks"`
}

type checkOfHost struct {
	Area  string `json:"area"`
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Value string `json:"value"`
	Hint  string `json:"hint,omitempty"`
}

// Add appends checks. It drops the hint of a check that is OK.
func (d *Diagnosis) Add(area string, list ...overlaymount.Check) {
	for _, c := range list {
		if c.OK {
			c.Hint = ""
		}
		d.Checks = append(d.Checks, checkOfHost{area, c.Name, c.OK, c.Value, c.Hint})
	}
}

// JSON prints the diagnosis as one object.
func (d *Diagnosis) JSON(w io.Writer) error { return terminal.WriteJSON(w, d) }

// Text prints a line for each check, and the hint below each that is not OK.
func (d *Diagnosis) Text(w io.Writer) error {
	table := terminal.NewTable(w)
	for _, check := range d.Checks {
		ok := "yes"
		if !check.OK {
			ok = "no"
		}
		table.Row(check.Area, check.Name, ok, check.Value)
		if check.Hint != "" {
			table.Row("", "", "", "hint: "+check.Hint)
		}
	}
	return table.Flush()
}
