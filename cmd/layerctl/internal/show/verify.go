// SPDX-License-Identifier: Apache-2.0

package show

import (
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaystore"
)

// Report prints a line a difference.
func Report(w io.Writer, report overlaystore.Report) error {
	for _, d := range report.Differences {
		if err := terminal.Printf(w, "%s\n", terminal.Escape(d.String())); err != nil {
			return err
		}
	}
	return nil
}

// ReportJSON prints the report as one object.
func ReportJSON(w io.Writer, report overlaystore.Report) error {
	return terminal.WriteJSON(w, reportOf(report))
}

// reportJSON is the output of verify --json. Paths that are no UTF-8 stand
// quoted, as in Go.
type reportJSON struct {
	Layers      int              `json:"layers"`
	Paths       int64            `json:"paths"`
	Bytes       int64            `json:"bytes"`
	Differences []differenceJSON `json:"differences"`
}

type differenceJSON struct {
	Layer digest.Digest `json:"layer"`
	Fix   bool          `json:"fix,omitempty"`
	Path  string        `json:"path,omitempty"`
	Field string        `json:"field"`
	Got   string        `json:"got,omitempty"`
	Want  string        `json:"want,omitempty"`
}

func reportOf(r overlaystore.Report) reportJSON {
	out := reportJSON{Layers: r.Layers, Paths: r.Files, Bytes: r.Bytes, Differences: []differenceJSON{}}
	for _, d := range r.Differences {
		out.Differences = append(out.Differences, differenceJSON{d.Layer, d.Fix, terminal.Escape(d.Path), d.Field, terminal.Escape(d.Got), terminal.Escape(d.Want)})
	}
	return out
}
