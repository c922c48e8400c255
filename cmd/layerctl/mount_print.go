// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
)

// busyboxLine is how many bytes of an fstab line the mount of busybox reads: half of
// its common buffer, as measured with 1.35.
const busyboxLine = 511

func mountFormats() []string {
	return []string{"sh", "json", "fstab", "fstab-helper", "systemd", "containerd"}
}

// printMount prints the mount in the form of --format.
func printMount(c *cli.Context, mount *overlaymount.Mount, image overlaystore.Image, name, target string) error {
	format := c.String("format")
	if format == "" && c.Bool("json") {
		format = "json"
	}
	switch format {
	case "json":
		return show.MountJSON(c.App.Writer, mount, image, name, target)
	case "containerd":
		spec, err := mount.Spec()
		if err != nil {
			return err
		}
		return show.SpecJSON(c.App.Writer, spec)
	case "systemd":
		unit, err := mount.Unit(target)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(c.App.Writer, unit.Text)
		return err
	case "fstab", "fstab-helper":
		return printFSTab(c, mount, target)
	}
	line, err := mount.Line(target)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.App.Writer, line)
	return err
}

// printFSTab prints the fstab line, and warns if mount(8) alone cannot mount it.
func printFSTab(c *cli.Context, mount *overlaymount.Mount, target string) error {
	line, err := mount.FSTab(target, overlaymount.FSTabOptions{Systemd: systemdRuns(), Helper: c.String("format") == "fstab-helper"})
	if err != nil {
		return err
	}
	console := terminal.NewConsole(c.App.ErrWriter)
	_, missing := os.Stat(helperPath)
	switch {
	case c.Bool("quiet"):
	case line.Helper != nil && missing != nil:
		console.Warn("this line mounts only with %s, which is not there; it takes that because of this: %v", helperPath, line.Helper)
		console.Hint("ln -s %s %s", terminal.Escape(ownPath()), helperPath)
	case line.Helper == nil && len(line.Text) > busyboxLine:
		console.Warn("the line has %d bytes; util-linux reads it, busybox's mount only %d", len(line.Text), busyboxLine)
		console.Hint("--format fstab-helper prints a short one, which needs %s", helperPath)
	}
	_, err = fmt.Fprintln(c.App.Writer, line.Text)
	return err
}

// ownPath returns the path of this program.
func ownPath() string {
	path, err := os.Executable()
	if err != nil {
		return "layerctl"
	}
	return path
}

// systemdRuns reports whether systemd booted this machine (sd_booted(3)).
func systemdRuns() bool {
	_, err := os.Lstat("/run/systemd/system")
	return err == nil
}
