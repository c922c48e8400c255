// SPDX-License-Identifier: Apache-2.0

package show

import (
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/overlaystore"
)

// GivenReport is the result of verifying an image in an engine.
type GivenReport struct {
	Record given.Record
	Place  string // the engine, for people
	Report overlaystore.Report
	// Unchecked is how many layers were not compared, because the engine had them before.
	Unchecked int
}

// Report prints a line for each difference.
func Report(w io.Writer, report overlaystore.Report, held []GivenReport) error {
	for _, d := range report.Differences {
		if err := terminal.Printf(w, "%s\n", terminal.Escape(d.String())); err != nil {
			return err
		}
	}
	for _, h := range held {
		for _, d := range h.Report.Differences {
			if err := terminal.Printf(w, "%s: %s\n", terminal.Escape(h.Place), terminal.Escape(d.String())); err != nil {
				return err
			}
		}
	}
	return nil
}

// ReportJSON prints the report as one object.
func ReportJSON(w io.Writer, report overlaystore.Report, held []GivenReport) error {
	out := verificationJSON{reportOf(report), []givenJSON{}}
	for _, h := range held {
		r := h.Record
		out.Engines = append(out.Engines, givenJSON{r.Kind, r.Address, r.Namespace, r.Manifest, r.HandedOver, h.Unchecked, reportOf(h.Report)})
	}
	return terminal.WriteJSON(w, out)
}

// verificationJSON is the output of verify --json.
type verificationJSON struct {
	reportJSON
	Engines []givenJSON `json:"engines"`
}

// givenJSON is an image in an engine.
type givenJSON struct {
	Kind       string        `json:"kind"`
	Address    string        `json:"address"`
	Namespace  string        `json:"namespace"`
	Manifest   digest.Digest `json:"manifest"`
	HandedOver bool          `json:"handedOver"`
	Unchecked  int           `json:"unchecked"`
	reportJSON
}

// reportJSON is the result in one place, the store or an engine. Paths that are no UTF-8
// are escaped as in Go.
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
