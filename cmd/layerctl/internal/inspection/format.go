// SPDX-License-Identifier: Apache-2.0

package inspection

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
)

func printFormat(c *cli.Context, ref string) error {
	t, err := ParseFormat(c)
	if err != nil {
		return err
	}
	o := t.Needs()
	o.Referrers = c.Bool("referrers")
	found, err := shown(c, ref, o)
	if err != nil {
		return err
	}
	return PrintFormatted(c, t, found)
}

// ParseFormat parses the template of --format.
func ParseFormat(c *cli.Context) (*show.Template, error) {
	t, err := show.ParseTemplate(c.String("format"))
	if err != nil {
		return nil, &args.UsageError{Problem: fmt.Sprintf("--format: %v", err), Advice: "https://pkg.go.dev/text/template"}
	}
	return t, nil
}

// PrintFormatted prints v by a template. v is the value that --json prints.
func PrintFormatted(c *cli.Context, t *show.Template, v any) error {
	text, err := t.Format(v)
	if err != nil {
		return &args.UsageError{Problem: fmt.Sprintf("--format: %v", err), Advice: fmt.Sprintf("'layerctl %s --json' shows what there is", c.Command.Name)}
	}
	return show.WriteFormatted(c.App.Writer, text)
}
