// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/overlaystore"
)

// busyboxLine is how much of a line of fstab the mount of busybox reads.
const busyboxLine = 1023

func mountFormats() []string { return []string{"sh", "json", "fstab", "systemd", "containerd"} }

// mountJSON is the output of mount --format json.
type mountJSON struct {
	Reference string             `json:"reference"`
	Image     overlaystore.Image `json:"image"`
	Lower     []string           `json:"lower"`
	Upper     string             `json:"upper,omitempty"`
	Work      string             `json:"work,omitempty"`
	Type      string             `json:"type"`
	Source    string             `json:"source"`
	Target    string             `json:"target"`
	// Flags and Options are for mount(2), in the directory Directory.
	Flags     []string `json:"flags"`
	Options   string   `json:"options"`
	Directory string   `json:"directory"`
	Line      string   `json:"line"`
}

// printMount prints the mount in the form that was asked for.
func printMount(c *cli.Context, mount *overlaystore.Mount, image overlaystore.Image, name, target string) error {
	format := c.String("format")
	if format == "" && c.Bool("json") {
		format = "json"
	}
	switch format {
	case "json":
		return printMountJSON(c, mount, image, name, target)
	case "containerd":
		spec, err := mount.Spec()
		if err != nil {
			return err
		}
		return printJSON(c.App.Writer, []overlaystore.Spec{spec})
	case "systemd":
		unit, err := mount.Unit(target)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(c.App.Writer, unit.Text)
		return err
	}
	print := mount.Line
	if format == "fstab" {
		print = func(target string) (string, error) { return mount.FSTab(target, systemdRuns()) }
	}
	line, err := print(target)
	if err != nil {
		return err
	}
	if len(line) > busyboxLine && format == "fstab" && !c.Bool("quiet") {
		newConsole(c.App.ErrWriter).warn("the line has %d bytes; util-linux reads it, busybox's mount only %d", len(line), busyboxLine)
	}
	_, err = fmt.Fprintln(c.App.Writer, line)
	return err
}

// systemdRuns reports whether systemd booted this machine (sd_booted(3)).
func systemdRuns() bool {
	_, err := os.Lstat("/run/systemd/system")
	return err == nil
}

func printMountJSON(c *cli.Context, mount *overlaystore.Mount, image overlaystore.Image, name, target string) error {
	line, err := mount.Line(target)
	if err != nil {
		return err
	}
	options, err := mount.Options()
	if err != nil {
		return err
	}
	return printJSON(c.App.Writer, mountJSON{
		Reference: name, Image: image, Lower: mount.Lower(), Upper: mount.Upper(), Work: mount.Work(),
		Type: "overlay", Source: mount.Source(), Target: target,
		Flags: mount.Flags(), Options: options, Directory: mount.LinkDir(), Line: line,
	})
}
