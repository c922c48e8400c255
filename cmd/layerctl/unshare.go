// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/userns"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

const unshareName = "unshare"

func unshareCommand() *cli.Command {
	return &cli.Command{
		Name:      unshareName,
		Usage:     "run a command where an ordinary user may mount",
		ArgsUsage: "[COMMAND [ARGUMENT…]]",
		Action:    runUnshare,
	}
}

func runUnshare(c *cli.Context) error {
	if os.Geteuid() == 0 {
		return &usageError{Problem: "unshare is for ordinary users", Advice: "root mounts without it; run the command as it is"}
	}
	args := c.Args().Slice()
	if len(args) == 0 {
		args = []string{shell()}
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	dir, err := setup.StoreDir(c)
	if err != nil {
		return err
	}
	command := userns.Command{Path: path, Args: args, Interactive: true}
	mapping, err := userns.Subordinate()
	defer func() {
		// Without a list of processes orphans stay, which does little harm.
		_ = mounts.EndOrphans(context.WithoutCancel(c.Context))
	}()
	if err == nil {
		err = setup.HandOver(c, dir, command, mapping)
	}
	if !errors.Is(err, userns.ErrUnavailable) {
		return err
	}
	if form, formErr := overlaystore.FormatOf(dir); formErr == nil && form.IDs == layer.MappedIDs {
		return &setup.NamespaceError{Store: dir, Err: err}
	}
	return setup.HandOver(c, dir, command, userns.Caller())
}

func shell() string {
	if sh := os.Getenv("SHELL"); sh != "" {
		return sh
	}
	return "/bin/sh"
}

// hintUnshare prints after a pull how an ordinary user can run the mount lines. err is
// the pull's error.
func hintUnshare(c *cli.Context, err error) {
	var elsewhere *setup.HandedOver
	done := err == nil || errors.As(err, &elsewhere) && elsewhere.Code == 0
	if done && os.Geteuid() != 0 && !c.Bool("quiet") {
		terminal.NewConsole(c.App.ErrWriter).Hint("mounting is allowed in 'layerctl unshare': run the line there")
	}
}
