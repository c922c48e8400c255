// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/template"
	"unicode/utf8"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/urfave/cli/v2"
)

func inspectFormat(c *cli.Context, ref string) error {
	t, err := parseFormat(c.String("format"))
	if err != nil {
		return err
	}
	found, err := inspect(c, ref, formatNeeds(t))
	if err != nil {
		return err
	}
	return printFormatted(c, t, found, "inspect")
}

func parseFormat(text string) (*template.Template, error) {
	t, err := template.New("format").Funcs(formatFunctions()).Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, &usageError{problem: fmt.Sprintf("--format: %s", templateProblem(err)), hint: "https://pkg.go.dev/text/template"}
	}
	return t, nil
}

// printFormatted prints v, of which the command's --json is another form.
func printFormatted(c *cli.Context, t *template.Template, v any, command string) error {
	text, err := formatted(t, v)
	if err != nil {
		return &usageError{problem: fmt.Sprintf("--format: %s", templateProblem(err)), hint: fmt.Sprintf("'layerctl %s --json' shows what there is", command)}
	}
	if terminal.Is(c.App.Writer) {
		text = terminal.EscapeLines(text)
	}
	_, err = io.WriteString(c.App.Writer, text+"\n")
	return err
}

// formatted takes the keys of a template for fields of the library first, as
// docker does, and where that fails for keys of the JSON.
func formatted(t *template.Template, v any) (string, error) {
	var typed strings.Builder
	if err := t.Execute(&typed, v); err == nil {
		return typed.String(), nil
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber() // a float would print 3.6e+06 for a size
	var generic any
	if err := decoder.Decode(&generic); err != nil {
		return "", err
	}
	var text strings.Builder
	err = t.Execute(&text, generic)
	return text.String(), err
}

// templateProblem leaves out what text/template says of itself.
func templateProblem(err error) string {
	return strings.TrimPrefix(err.Error(), "template: ")
}

// formatFunctions are those that docker's --format has.
func formatFunctions() template.FuncMap {
	return template.FuncMap{
		"json":     formatJSON,
		"join":     formatJoin,
		"split":    strings.Split,
		"lower":    strings.ToLower,
		"upper":    strings.ToUpper,
		"title":    formatTitle,
		"pad":      formatPad,
		"truncate": formatTruncate,
	}
}

func formatJSON(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// formatJoin joins a list of anything, for in the JSON lists have no type.
func formatJoin(list any, separator string) (string, error) {
	switch list := list.(type) {
	case nil:
		return "", nil
	case []string:
		return strings.Join(list, separator), nil
	case []any:
		words := make([]string, len(list))
		for i, v := range list {
			words[i] = fmt.Sprint(v)
		}
		return strings.Join(words, separator), nil
	default:
		return "", fmt.Errorf("join takes a list, and got %T", list)
	}
}

func formatTitle(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return s
	}
	return strings.ToUpper(string(r)) + s[size:]
}

// formatPad puts so many blanks before and after, none around nothing.
func formatPad(s string, before, after int) string {
	const most = 1000
	if s == "" {
		return s
	}
	return strings.Repeat(" ", min(max(before, 0), most)) + s + strings.Repeat(" ", min(max(after, 0), most))
}

func formatTruncate(s string, characters int) string {
	return s[:terminal.ByteIndex(s, max(characters, 0))]
}
