// SPDX-License-Identifier: Apache-2.0

package show

import (
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
)

// Mounted is one element of the output of mounts --json.
type Mounted struct {
	State     string    `json:"state"` // mounted or left
	Target    string    `json:"target"`
	Source    string    `json:"source"`
	Manifest  string    `json:"manifest,omitempty"`
	Writable  bool      `json:"writable"`
	Volatile  bool      `json:"volatile"`
	Upper     string    `json:"upper,omitempty"`
	Flags     []string  `json:"flags,omitempty"`
	Process   string    `json:"process,omitempty"`
	Command   string    `json:"command,omitempty"`
	Crashed   bool      `json:"crashed,omitempty"`
	Made      time.Time `json:"made,omitzero"`
	Reference []string  `json:"references"`
}

// MountsJSON prints mounts as an array of objects.
func MountsJSON(w io.Writer, list []Mounted) error { return terminal.WriteJSON(w, list) }

// Mounts prints a row for each mount.
func Mounts(w io.Writer, list []Mounted) error {
	table := terminal.NewTable(w)
	table.Row("TARGET", "IMAGE", "MODE", "STATE", "PROCESS", "UPPER")
	for _, m := range list {
		table.Row(m.Target, m.image(), m.mode(), m.State, orDash(strings.TrimSpace(m.Process+" "+m.Command)), orDash(m.Upper))
	}
	return table.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (m Mounted) image() string {
	if len(m.Reference) > 0 {
		return m.Reference[0]
	}
	return m.Source
}

func (m Mounted) mode() string {
	switch {
	case m.Volatile:
		return "rw,volatile"
	case m.Writable:
		return "rw"
	default:
		return "ro"
	}
}

// MountsOf returns what is mounted from the store, and what earlier mounts left.
func MountsOf(ctx context.Context, store *overlaystore.Store) ([]Mounted, error) {
	images, err := store.Images()
	if err != nil {
		return nil, err
	}
	refs := map[string][]string{}
	for _, i := range images {
		refs[i.Manifest.String()] = i.Refs
	}
	mounts, err := store.Mounts(ctx)
	if err != nil {
		return nil, err
	}
	left, err := overlaymount.Leftovers(ctx, store)
	if err != nil {
		return nil, err
	}
	list := []Mounted{}
	for _, m := range mounts {
		row := Mounted{
			State: "mounted", Target: m.Target, Source: m.Source, Manifest: m.Manifest.String(),
			Writable: m.Writable, Volatile: m.Volatile, Upper: m.Upper, Flags: m.Flags,
		}
		if m.PID != "self" {
			comm, _ := os.ReadFile("/proc/" + m.PID + "/comm") // it may have ended
			row.Process, row.Command = m.PID, strings.TrimSpace(string(comm))
		}
		list = append(list, row)
	}
	for _, w := range left {
		list = append(list, Mounted{
			State: "left", Target: w.Target, Source: w.Source, Manifest: w.Manifest.String(),
			Writable: true, Volatile: w.Volatile, Upper: w.Upper, Crashed: w.Crashed, Made: w.Made,
		})
	}
	for i := range list {
		list[i].Reference = append([]string{}, refs[list[i].Manifest]...)
	}
	return list, nil
}
