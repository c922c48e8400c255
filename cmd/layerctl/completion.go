// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/help"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/cmdline"
)

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print what makes a shell complete layerctl's commands and flags",
		ArgsUsage: "bash|zsh|fish",
		Action:    runCompletion,
	}
}

func runCompletion(c *cli.Context) error {
	args, err := setup.Arguments(c, 1, 1, "one of bash, zsh or fish")
	if err != nil {
		return err
	}
	program := commandLine(c.App)
	switch args[0] {
	case "bash":
		return program.Bash(c.App.Writer)
	case "zsh":
		return program.Zsh(c.App.Writer)
	case "fish":
		return program.Fish(c.App.Writer)
	}
	return &usageError{Problem: fmt.Sprintf("there is no completion for %q", args[0]), Advice: "it is one of bash, zsh or fish"}
}

// manualCommand makes the man pages of a release.
func manualCommand() *cli.Command {
	return &cli.Command{
		Name:      "manual",
		Hidden:    true,
		Usage:     "write the man pages into a directory",
		ArgsUsage: "DIR",
		Action:    runManual,
	}
}

func runManual(c *cli.Context) error {
	args, err := setup.Arguments(c, 1, 1, "one DIR")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(args[0], 0o755); err != nil {
		return err
	}
	for _, page := range commandLine(c.App).Manual() {
		if err := os.WriteFile(filepath.Join(args[0], page.Name), []byte(page.Text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// commandLine describes the command line, by the app that parses it.
func commandLine(app *cli.App) cmdline.Program {
	p := help.Describe(app, unshareName)
	p.References = app.Name + " " + referencesName
	return p
}

// referencesName is the command that completion scripts run.
const referencesName = "references"

// referencesCommand prints what is stored, for shells to complete.
func referencesCommand() *cli.Command {
	return &cli.Command{
		Name:   referencesName,
		Hidden: true,
		Usage:  "print the references of the store, one a line, as they may be typed",
		Action: runReferences,
	}
}

func runReferences(c *cli.Context) (err error) {
	store, err := setup.OpenExisting(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	images, err := store.Images()
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, i := range images {
		for _, ref := range i.Refs {
			// Images of Docker Hub are printed by their short names.
			names[strings.TrimPrefix(strings.TrimPrefix(ref, "docker.io/"), "library/")] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if err := terminal.Printf(c.App.Writer, "%s\n", name); err != nil {
			return err
		}
	}
	return nil
}
