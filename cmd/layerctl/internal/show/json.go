// SPDX-License-Identifier: Apache-2.0

package show

import (
	"io"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/inspect"
)

// Inspection prints an inspection as one object.
func Inspection(w io.Writer, found *inspect.Result) error { return terminal.WriteJSON(w, found) }
