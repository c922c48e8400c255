// SPDX-License-Identifier: Apache-2.0

package show

import (
	"bytes"
	"io"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/inspect"
)

// printShape is for what holds an image author's text.
func printShape(w io.Writer, v any) error {
	var b bytes.Buffer
	if err := terminal.WriteJSON(&b, v); err != nil {
		return err
	}
	return terminal.WriteDocument(w, b.Bytes())
}

// Inspection prints what was found as one object.
func Inspection(w io.Writer, found *inspect.Result) error { return printShape(w, found) }
