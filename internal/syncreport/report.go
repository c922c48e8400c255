// SPDX-License-Identifier: Apache-2.0

// Package syncreport has what a run of sync says about itself: a JSON document,
// docs/sync-report.schema.json, and metrics for Prometheus.
package syncreport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/errkind"
)

// Version is that of the document's shape. New keys may come without a new one.
const Version = 1

// State is what became of an image.
type State string

// The states. In a dry run pulled and dropped mean that it would be so.
const (
	Present   State = "present"   // it was there
	Pulled    State = "pulled"    // it was brought
	Failed    State = "failed"    // the node has not what the list means
	Postponed State = "postponed" // the window ended before
	Kept      State = "kept"      // the list does not name it, and it stays
	Dropped   State = "dropped"   // the list does not name it, and it went
)

// states are all of them, for metrics.
func states() []State { return []State{Present, Pulled, Failed, Postponed, Kept, Dropped} }

// Report is one run. Every key is always there.
type Report struct {
	SchemaVersion int    `json:"schemaVersion"`
	Node          string `json:"node"` // the host's name
	Store         string `json:"store"`
	List          string `json:"list"` // where it came from
	DryRun        bool   `json:"dryRun"`
	// Began and Ended are when, Succeeded when the last run ended that ended
	// with 0; null for never.
	Began     time.Time  `json:"began"`
	Ended     time.Time  `json:"ended"`
	Succeeded *time.Time `json:"succeeded"`
	// ExitCode is the command's, Error what went wrong beside the images.
	ExitCode int      `json:"exitCode"`
	Error    *Problem `json:"error"`
	// Received counts bytes of layers that came over the network, Pruned those
	// that went from the disk; Free is what the store's filesystem has left.
	Received int64  `json:"received"`
	Pruned   int64  `json:"pruned"`
	Free     uint64 `json:"free"`
	// Images are those of the list in its order, then those that it no longer
	// names.
	Images []Image `json:"images"`
}

// Image is one image of a report.
type Image struct {
	// What was asked for.
	Line      int      `json:"line"` // in the list; 0 for one that it does not name
	Reference string   `json:"reference"`
	Platform  string   `json:"platform"` // "" is the node's own
	Pin       bool     `json:"pin"`
	Into      []string `json:"into"`
	Name      string   `json:"name"` // in the engines; "" is the reference
	// What there is.
	State    State         `json:"state"`
	Reason   string        `json:"reason"`   // of what is kept or postponed
	Root     digest.Digest `json:"root"`     // what the reference means now, an index or a manifest
	Wanted   digest.Digest `json:"wanted"`   // the manifest that it means for this node
	Manifest digest.Digest `json:"manifest"` // the one that the node has
	Size     int64         `json:"size"`     // of manifest, config and compressed layers, in bytes
	Missing  int64         `json:"missing"`  // bytes of compressed layers that were not there before
	Received int64         `json:"received"` // bytes of layers that came over the network
	Seconds  float64       `json:"seconds"`
	Hosts    []Host        `json:"hosts"`
	Engines  []Engine      `json:"engines"`  // that have it
	Verified *time.Time    `json:"verified"` // when all of it was read and compared last
	Error    *Problem      `json:"error"`
}

// Host is who sent layers.
type Host struct {
	Host  string `json:"host"`
	Bytes int64  `json:"bytes"`
}

// Engine is who has an image.
type Engine struct {
	Kind      string   `json:"kind"`
	Address   string   `json:"address"`
	Namespace string   `json:"namespace"`
	Names     []string `json:"names"`
}

// Problem is an error.
type Problem struct {
	ExitCode int    `json:"exitCode"` // that of the command for such an error
	Message  string `json:"message"`
}

// ProblemOf is err as a report has it; nil for none.
func ProblemOf(err error) *Problem {
	if err == nil {
		return nil
	}
	return &Problem{ExitCode: int(errkind.Of(err)), Message: err.Error()}
}

// Counts are the images by their state.
func (r Report) Counts() map[State]int {
	n := map[State]int{}
	for _, i := range r.Images {
		n[i.State]++
	}
	return n
}

// maxReport bounds a document that is read: a list of 10,000 images makes a
// tenth of it.
const maxReport = 128 << 20

// Read reads a report that a run has written. One that is none, or of another
// version, is an [errkind.Mismatch].
func Read(from io.Reader) (Report, error) {
	var r Report
	raw, err := io.ReadAll(io.LimitReader(from, maxReport+1))
	if err != nil {
		return r, err
	}
	switch err := json.NewDecoder(bytes.NewReader(raw)).Decode(&r); {
	case len(raw) > maxReport:
		err = errors.New("too large")
		return Report{}, errkind.With(errkind.Mismatch, fmt.Errorf("read report: %w", err))
	case err != nil:
		return Report{}, errkind.With(errkind.Mismatch, fmt.Errorf("read report: %w", err))
	case r.SchemaVersion != Version:
		return Report{}, errkind.With(errkind.Mismatch, fmt.Errorf("read report: it is of version %d, and this program knows %d", r.SchemaVersion, Version))
	}
	return r, nil
}
