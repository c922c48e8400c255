// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
)

func inspectFormat(c *cli.Context, ref string) error {
	t, err := parseFormat(c)
	if err != nil {
		return err
	}
	found, err := inspectShown(c, ref, t.Needs())
	if err != nil {
		return err
	}
	return printFormatted(c, t, found)
}

// parseFormat parses the template of --format.
func parseFormat(c *cli.Context) (*show.Template, error) {
	t, err := show.ParseTemplate(c.String("format"))
	if err != nil {
		return nil, &usageError{Problem: fmt.Sprintf("--format: %v", err), Advice: "https://pkg.go.dev/text/template"}
	}
	return t, nil
}

// printFormatted prints v by a template. --json prints the same v.
func printFormatted(c *cli.Context, t *show.Template, v any) error {
	text, err := t.Format(v)
	if err != nil {
		return &usageError{Problem: fmt.Sprintf("--format: %v", err), Advice: fmt.Sprintf("'layerctl %s --json' shows what there is", c.Command.Name)}
	}
	return show.WriteFormatted(c.App.Writer, text)
}
