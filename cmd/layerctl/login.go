// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/registry"
)

func loginCommand() *cli.Command {
	return &cli.Command{
		Name:      "login",
		Usage:     "keep a registry's credentials, as docker does",
		ArgsUsage: "HOST",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "username", Aliases: []string{"u"}, Usage: "log in as `NAME`; asked for where it is not given"},
			&cli.BoolFlag{Name: "password-stdin", Usage: "read the password from standard input"},
		},
		Action: runLogin,
	}
}

func runLogin(c *cli.Context) error {
	hosts, err := setup.Arguments(c, 1, 1, "one HOST")
	if err != nil {
		return err
	}
	client, err := keeper(c)
	if err != nil {
		return err
	}
	login, err := credentials(c)
	if err != nil {
		return err
	}
	err = client.Login(c.Context, hosts[0], login.Username, login.Password)
	if err == nil && !c.Bool("quiet") {
		terminal.NewConsole(c.App.ErrWriter).Say("logged in to %s as %s", hosts[0], login.Username)
	}
	return err
}

// keeper returns a client that has a file to keep credentials in.
func keeper(c *cli.Context) (*registry.Client, error) {
	client := registry.New(setup.RegistryOptions(c, nil))
	if len(client.KeyFiles()) == 0 {
		return nil, &usageError{Problem: "neither HOME nor DOCKER_CONFIG is set, where credentials are kept", Advice: "name a file for them with --authfile"}
	}
	return client, nil
}

// credentials reads the name and the password: from flags and standard input, or typed
// at a terminal.
func credentials(c *cli.Context) (login registry.Login, err error) {
	login.Username = c.String("username")
	if c.Bool("password-stdin") {
		if login.Username == "" {
			return login, &usageError{Problem: "--password-stdin needs --username", Advice: "layerctl login --username NAME --password-stdin HOST"}
		}
		login.Password, err = terminal.ReadLine(c.Context, c.App.Reader)
		if errors.Is(err, io.EOF) {
			return login, &usageError{Problem: "standard input is empty", Advice: "--password-stdin reads one line"}
		}
		if err != nil {
			return login, fmt.Errorf("read the password from standard input: %w", err)
		}
		return login, nil
	}
	in, ok := c.App.Reader.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return login, &usageError{Problem: "standard input is no terminal to ask for the password on", Advice: "use --username NAME --password-stdin"}
	}
	if login.Username == "" {
		fmt.Fprint(c.App.ErrWriter, "Username: ")
		if login.Username, err = terminal.ReadLine(c.Context, in); err != nil {
			return login, fmt.Errorf("read the user's name: %w", err)
		}
	}
	fmt.Fprint(c.App.ErrWriter, "Password: ")
	login.Password, err = terminal.ReadSecret(c.Context, in)
	fmt.Fprintln(c.App.ErrWriter)
	if err != nil {
		return login, fmt.Errorf("read the password: %w", err)
	}
	return login, nil
}

func logoutCommand() *cli.Command {
	return &cli.Command{
		Name:      "logout",
		Usage:     "forget a registry's credentials",
		ArgsUsage: "HOST",
		Action:    runLogout,
	}
}

func runLogout(c *cli.Context) error {
	hosts, err := setup.Arguments(c, 1, 1, "one HOST")
	if err != nil {
		return err
	}
	client, err := keeper(c)
	if err != nil {
		return err
	}
	return client.Logout(c.Context, hosts[0])
}
