// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaystore"
)

func mountsCommand() *cli.Command {
	return &cli.Command{
		Name:  "mounts",
		Usage: "list what is mounted from this store, and what mounts left",
		Description: `PROCESS is one that sees the mount, where it is not the caller's: a container,
for example. A row in state "left" is no mount but what one had written before
a crash, or before umount(8): it is at UPPER until 'layerctl umount TARGET'.`,
		Action: runMounts,
	}
}

// mountedJSON is one element of the output of mounts --json.
type mountedJSON struct {
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

func runMounts(c *cli.Context) (err error) {
	if err := noArguments(c); err != nil {
		return err
	}
	store, err := openStore(c)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, store) }()
	list, err := mountsOf(c.Context, store)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return terminal.WriteJSON(c.App.Writer, list)
	}
	table := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TARGET\tIMAGE\tMODE\tSTATE\tPROCESS\tUPPER")
	for _, m := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", terminal.Escape(m.Target), terminal.Escape(m.image()), m.mode(), m.State,
			orDash(strings.TrimSpace(m.Process+" "+terminal.Escape(m.Command))), orDash(terminal.Escape(m.Upper)))
	}
	return table.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (m mountedJSON) image() string {
	if len(m.Reference) > 0 {
		return m.Reference[0]
	}
	return m.Source
}

func (m mountedJSON) mode() string {
	switch {
	case m.Volatile:
		return "rw,volatile"
	case m.Writable:
		return "rw"
	default:
		return "ro"
	}
}

func mountsOf(ctx context.Context, store *overlaystore.Store) ([]mountedJSON, error) {
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
	left, err := store.Leftovers(ctx)
	if err != nil {
		return nil, err
	}
	list := []mountedJSON{}
	for _, m := range mounts {
		row := mountedJSON{
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
		list = append(list, mountedJSON{
			State: "left", Target: w.Target, Source: w.Source, Manifest: w.Manifest.String(),
			Writable: true, Volatile: w.Volatile, Upper: w.Upper, Crashed: w.Crashed, Made: w.Made,
		})
	}
	for i := range list {
		list[i].Reference = append([]string{}, refs[list[i].Manifest]...)
	}
	return list, nil
}

// tellLeftovers warns of what a mount at target had written before a crash.
func tellLeftovers(c *cli.Context, store *overlaystore.Store, target string) {
	left, err := store.Leftovers(c.Context)
	if err != nil || c.Bool("quiet") {
		return
	}
	for _, w := range left {
		if w.Target != target {
			continue
		}
		loss := ""
		if w.Crashed && w.Volatile {
			loss = "; it was volatile, so that after a crash some of it may be lost or damaged"
		}
		console := terminal.NewConsole(c.App.ErrWriter)
		console.Warn("what an earlier mount at %s wrote is still in %s%s", terminal.Escape(target), terminal.Escape(w.Upper), loss)
		console.Hint("'layerctl umount %s' removes it, when nothing is mounted there", terminal.Escape(target))
	}
}
