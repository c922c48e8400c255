// SPDX-License-Identifier: Apache-2.0

package help

import (
	"embed"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/internal/cmdline"
)

//go:embed texts/*.txt
var texts embed.FS

// Limits is the category of flags that are listed last.
const Limits = "limits"

// helpName is the command that the cli package adds.
const helpName = "help"

// IsAsked reports whether a command line may need help texts: for help, completion or man
// pages.
func IsAsked(arguments []string) bool {
	return slices.ContainsFunc(arguments, func(word string) bool {
		word, _, _ = strings.Cut(word, "=")
		return slices.Contains([]string{"-h", "--h", "-help", "--help", "h", helpName, "completion", "manual"}, word)
	})
}

// Set sets the help texts of the app, and of the commands among the arguments. In all
// texts it replaces the keys of words by their values.
func Set(app *cli.App, arguments []string, words map[string]string) {
	var pairs []string
	for key, word := range words {
		pairs = append(pairs, key, word)
	}
	fill := strings.NewReplacer(pairs...)
	for _, c := range app.Commands {
		if text := fill.Replace(read(c.Name)[""]); text != "" {
			c.Description = strings.TrimSpace(text)
		}
	}
	p := Describe(app, "")
	app.CustomAppHelpTemplate = verbatim(p.Overview())
	for _, c := range p.Commands {
		if command := app.Command(c.Name); command != nil && slices.ContainsFunc(arguments, command.HasName) {
			command.CustomHelpTemplate = verbatim(p.Help(c))
		}
	}
}

// verbatim returns a template that prints text.
func verbatim(text string) string { return "{{" + strconv.Quote(text) + "}}" }

// read returns the sections of a command's file; "" is the description.
func read(name string) map[string]string {
	raw, err := texts.ReadFile("texts/" + name + ".txt")
	if err != nil {
		return nil
	}
	sections := map[string]string{}
	section := ""
	for line := range strings.Lines(string(raw)) {
		switch word := strings.TrimSpace(line); word {
		case "EXAMPLES", "EXIT STATUS", "FILES", "ENVIRONMENT":
			section = word
		default:
			sections[section] += line
		}
	}
	return sections
}

// pairs returns the headings of a section, each with the indented line below it.
func pairs(section string) (list [][2]string) {
	head := ""
	for line := range strings.Lines(section) {
		switch text := strings.TrimSpace(line); {
		case text == "":
		case !strings.HasPrefix(line, " "):
			head = strings.TrimSuffix(text, ":")
		default:
			list = append(list, [2]string{head, text})
		}
	}
	return list
}

func examples(section string) (list []cmdline.Item) {
	for _, p := range pairs(section) {
		list = append(list, cmdline.Item{Said: p[0], Term: p[1]})
	}
	return list
}

func items(section string) (list []cmdline.Item) {
	for _, p := range pairs(section) {
		list = append(list, cmdline.Item{Term: p[0], Said: p[1]})
	}
	return list
}

// Describe describes the command line by the app that parses it, without hidden commands.
// runs is the name of the command whose argument is a program to run.
func Describe(app *cli.App, runs string) cmdline.Program {
	own := read(app.Name)
	p := cmdline.Program{
		Name:        app.Name,
		Usage:       app.Usage,
		Description: app.Description,
		Examples:    examples(own["EXAMPLES"]),
		Flags:       describeFlags(app.Flags),
		Exits:       items(own["EXIT STATUS"]),
		Files:       items(own["FILES"]),
		Environment: items(own["ENVIRONMENT"]),
	}
	for _, c := range app.Commands {
		if c.Hidden || c.Name == helpName {
			continue
		}
		p.Commands = append(p.Commands, cmdline.Command{
			Name:        c.Name,
			Usage:       c.Usage,
			Arguments:   c.ArgsUsage,
			Description: c.Description,
			Examples:    examples(read(c.Name)["EXAMPLES"]),
			Flags:       describeFlags(c.Flags),
			Runs:        c.Name == runs,
		})
	}
	// The cli package adds these only when the app runs.
	p.Commands = append(p.Commands, cmdline.Command{
		Name: helpName, Usage: "show this help, or that of a command", Arguments: "[COMMAND]",
		Description: read(helpName)[""], Examples: examples(read(helpName)["EXAMPLES"]),
	})
	p.Flags = append(p.Flags, cmdline.Flag{Names: cli.HelpFlag.Names(), Usage: "show help"})
	return p
}

func describeFlags(flags []cli.Flag) []cmdline.Flag {
	var list []cmdline.Flag
	for _, f := range flags {
		if f == cli.HelpFlag {
			continue
		}
		list = append(list, describeFlag(f))
	}
	return list
}

func describeFlag(f cli.Flag) cmdline.Flag {
	described := cmdline.Flag{Names: f.Names()}
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return described
	}
	if in, ok := f.(cli.CategorizableFlag); ok {
		described.Limit = in.GetCategory() == Limits
	}
	// The placeholder is the word in backquotes.
	parts := strings.SplitN(d.GetUsage(), "`", 3)
	described.Usage = strings.Join(parts, "")
	described.Env = d.GetEnvVars()
	if !d.TakesValue() {
		return described
	}
	described.Value = "VALUE"
	if len(parts) == 3 {
		described.Value = parts[1]
	}
	described.Default = strings.Trim(d.GetDefaultText(), `"`)
	return described
}
