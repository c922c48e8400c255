// SPDX-License-Identifier: Apache-2.0

package syncing

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/reconcile"
	"github.com/layerctl/layerctl/internal/syncreport"
	"github.com/layerctl/layerctl/overlaystore"
)

// StatusCommand returns the command status.
func StatusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "tell how the last sync of the store went",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "metrics", DefaultText: "none", Usage: "write it to `FILE` for Prometheus too, as sync does"},
		},
		Action: runStatus,
	}
}

func runStatus(c *cli.Context) (err error) {
	if err := setup.NoArguments(c); err != nil {
		return err
	}
	store, err := setup.OpenExisting(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	r, err := reconcile.Last(store.Dir())
	if errors.Is(err, fs.ErrNotExist) {
		return &noRunError{store.Path()}
	}
	if err != nil {
		return err
	}
	if err := writeMetrics(c, r); err != nil {
		return err
	}
	if c.Bool("json") {
		return terminal.WriteJSON(c.App.Writer, r)
	}
	return printReport(c.App.Writer, r, true)
}

// noRunError says that no sync has run on the store.
type noRunError struct{ store string }

func (e *noRunError) Error() string { return fmt.Sprintf("no sync has run on the store %q", e.store) }

// Hint names the command that does.
func (e *noRunError) Hint() string { return "'layerctl sync -f LIST' does" }

// Unwrap returns [overlaystore.ErrNotFound].
func (e *noRunError) Unwrap() error { return overlaystore.ErrNotFound }

// writeReport writes the report to the file of --report.
func writeReport(c *cli.Context, r syncreport.Report) error {
	return place(c, "report", func(w io.Writer) error { return terminal.WriteJSON(w, r) })
}

// writeMetrics writes the metrics to the file of --metrics.
func writeMetrics(c *cli.Context, r syncreport.Report) error {
	return place(c, "metrics", func(w io.Writer) error { return syncreport.WriteMetrics(w, r) })
}

// place replaces the file that a flag names. A reader finds the old content or the new
// one. Every user may read the file.
func place(c *cli.Context, flag string, write func(io.Writer) error) error {
	name := c.String(flag)
	if name == "" {
		return nil
	}
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	if err := replace(context.WithoutCancel(c.Context), abs, b.Bytes()); err != nil {
		return fmt.Errorf("write the %s: %w", flag, err)
	}
	return nil
}

func replace(ctx context.Context, path string, content []byte) (err error) {
	found, name, err := fsat.FindPlace(path)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, found) }()
	dir, err := durable.OpenDirAt(found, ".") // found is opened with O_PATH and cannot be synced
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, dir) }()
	return durable.WriteFile(ctx, dir, name, content, 0o644)
}

// printReport prints a line for each image and one for all. Without all it leaves out
// images that were in the store already.
func printReport(w io.Writer, r syncreport.Report, all bool) error {
	table := terminal.NewTable(w)
	for _, i := range r.Images {
		if all || i.State != syncreport.Present {
			table.Row(i.State, cmp.Or(i.Platform, "-"), i.Reference, details(i, r.DryRun))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var counts []string
	n := r.Counts()
	for _, s := range []syncreport.State{syncreport.Present, syncreport.Pulled, syncreport.Failed, syncreport.Postponed, syncreport.Kept, syncreport.Dropped} {
		if n[s] > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n[s], s))
		}
	}
	text := cmp.Or(strings.Join(counts, ", "), "no image")
	if r.DryRun {
		return terminal.Printf(w, "a dry run: %s, %s free\n", text, terminal.Bytes(int64(r.Free)))
	}
	return terminal.Printf(w, "%s: %s, %s received in %s, %s free\n", r.Ended.Local().Format(time.DateTime),
		text, terminal.Bytes(r.Received), r.Ended.Sub(r.Began).Round(100*time.Millisecond), terminal.Bytes(int64(r.Free)))
}

// details returns what the line of an image says besides its state.
func details(i syncreport.Image, dry bool) string {
	var list []string
	switch {
	case i.Error != nil:
		list = append(list, i.Error.Message)
	case i.Reason != "":
		list = append(list, i.Reason)
	case i.State == syncreport.Pulled && dry:
		list = append(list, terminal.Bytes(i.Missing)+" to fetch")
	case i.State == syncreport.Pulled:
		list = append(list, fmt.Sprintf("%s in %.1fs", terminal.Bytes(i.Received), i.Seconds))
	}
	for _, e := range i.Engines {
		list = append(list, "in "+cmp.Or(e.Namespace, e.Kind))
	}
	return strings.Join(list, ", ")
}
