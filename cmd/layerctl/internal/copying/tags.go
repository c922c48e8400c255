// SPDX-License-Identifier: Apache-2.0

package copying

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/registry"
)

// TagsCommand returns the command tags.
func TagsCommand() *cli.Command {
	return &cli.Command{Name: "tags", Usage: "list the tags of a repository", ArgsUsage: "REPOSITORY", Action: runTags}
}

func runTags(c *cli.Context) error {
	names, err := setup.Arguments(c, 1, 1, "one REPOSITORY")
	if err != nil {
		return err
	}
	ref, err := registry.Parse(names[0])
	if err != nil {
		return err
	}
	logins, err := setup.LoginsFor(c, names)
	if err != nil {
		return err
	}
	list := struct {
		Repository string   `json:"repository"`
		Tags       []string `json:"tags"`
	}{ref.Host() + "/" + ref.Repository(), []string{}}
	for tag, err := range registry.New(setup.RegistryOptions(c, logins)).Tags(c.Context, ref) {
		switch {
		case err != nil:
			return err
		case c.Bool("json"):
			list.Tags = append(list.Tags, strings.Clone(tag))
		default:
			if err := terminal.Printf(c.App.Writer, "%s\n", tag); err != nil {
				return err
			}
		}
	}
	if c.Bool("json") {
		return terminal.WriteJSON(c.App.Writer, list)
	}
	return nil
}
