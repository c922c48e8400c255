// SPDX-License-Identifier: Apache-2.0

package show

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/template"
	"unicode/utf8"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
)

// Template is a Go template for what a command prints as JSON.
type Template struct{ parsed *template.Template }

// ParseTemplate parses the value of --format.
func ParseTemplate(text string) (*Template, error) {
	t, err := template.New("format").Funcs(formatFunctions()).Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, templateError(err)
	}
	return &Template{t}, nil
}

// Format formats v by the template. Its keys are fields of v or else keys of v's JSON. The
// error is about the template.
func (t *Template) Format(v any) (string, error) {
	text, err := formatted(t.parsed, v)
	if err != nil {
		return "", templateError(err)
	}
	return text, nil
}

// WriteFormatted writes text that [Template.Format] returned, and a line break.
func WriteFormatted(w io.Writer, text string) error {
	if terminal.Is(w) {
		text = terminal.EscapeLines(text)
	}
	_, err := io.WriteString(w, text+"\n")
	return err
}

// formatted executes a template with v, as docker does, and if that fails with v's JSON.
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

// templateError removes the prefix of text/template from an error.
func templateError(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "template: "))
}

// formatFunctions returns the functions of docker's --format.
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
	var b strings.Builder
	err := terminal.WriteJSONLine(&b, v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// formatJoin joins a list of any values, because lists of decoded JSON have no type.
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

// formatPad adds blanks before and after s, unless s is empty.
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
