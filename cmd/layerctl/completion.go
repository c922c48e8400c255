// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/internal/cmdline"
)

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print what makes a shell complete layerctl's commands and flags",
		ArgsUsage: "bash|zsh|fish",
		Description: `For this shell, or for every later one:

  source <(layerctl completion bash)
  layerctl completion bash >/usr/share/bash-completion/completions/layerctl
  layerctl completion zsh >/usr/share/zsh/vendor-completions/_layerctl
  layerctl completion fish >/usr/share/fish/vendor_completions.d/layerctl.fish`,
		Action: runCompletion,
	}
}

func runCompletion(c *cli.Context) error {
	args, err := setup.Arguments(c, 1, 1, "one of bash, zsh, fish")
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
	return &usageError{Problem: fmt.Sprintf("there is no completion for %q", args[0]), Advice: "it is one of bash, zsh, fish"}
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

// commandLine is the command line as the app that parses it has it, once the app
// is set up: hidden commands are left out.
func commandLine(app *cli.App) cmdline.Program {
	p := cmdline.Program{
		Name:        app.Name,
		Usage:       app.Usage,
		Description: app.Description,
		Flags:       describeFlags(app.VisibleFlags()),
	}
	for _, command := range app.VisibleCommands() {
		// A command that runs has got its own --help beside the app's.
		own := slices.DeleteFunc(slices.Clone(command.VisibleFlags()), func(f cli.Flag) bool { return f == cli.HelpFlag })
		p.Commands = append(p.Commands, cmdline.Command{
			Name:        command.Name,
			Usage:       command.Usage,
			Arguments:   command.ArgsUsage,
			Description: command.Description,
			Flags:       describeFlags(own),
			Runs:        command.Name == unshareName,
		})
	}
	return p
}

func describeFlags(flags []cli.Flag) []cmdline.Flag {
	var list []cmdline.Flag
	for _, f := range flags {
		described := cmdline.Flag{Names: f.Names()}
		if d, ok := f.(cli.DocGenerationFlag); ok {
			// As the help has it, the placeholder is the word in backquotes.
			parts := strings.SplitN(d.GetUsage(), "`", 3)
			described.Usage = strings.Join(parts, "")
			described.Env = d.GetEnvVars()
			if d.TakesValue() {
				described.Value = "VALUE"
				if len(parts) == 3 {
					described.Value = parts[1]
				}
				described.Default = defaultOf(d)
			}
		}
		list = append(list, described)
	}
	return list
}

// defaultOf is what a flag is where it is not given.
func defaultOf(f cli.DocGenerationFlag) string { return strings.Trim(f.GetDefaultText(), `"`) }
