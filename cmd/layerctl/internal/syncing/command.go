// SPDX-License-Identifier: Apache-2.0

package syncing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/engines"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/progress"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/imagelist"
	"github.com/layerctl/layerctl/internal/reconcile"
	"github.com/layerctl/layerctl/internal/syncreport"
	"github.com/layerctl/layerctl/internal/window"
	"github.com/layerctl/layerctl/unpack"
)

// Command returns the command sync.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "sync",
		Usage: "make the store, and engines, equal to a list of images",
		Flags: append(append(setup.LimitFlags(), setup.TrustFlags()...),
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "bring what `LIST` names: a file, - for standard input, or docker://REF and oci:DIR for a list in a registry or layout"},
			&cli.StringSliceFlag{Name: "into", Usage: "give all images to `ENGINE`, save those whose line names others: containerd[=SOCKET], k3s, rke2, docker, containers-storage[=DIR] (repeatable)"},
			&cli.StringFlag{Name: "namespace", EnvVars: []string{"CONTAINERD_NAMESPACE"}, DefaultText: "k8s.io where the engine serves Kubernetes, else default", Usage: "use `NAMESPACE` of containerd"},
			&cli.StringFlag{Name: "snapshotter", EnvVars: []string{"CONTAINERD_SNAPSHOTTER"}, DefaultText: "overlayfs", Usage: "make layers of `NAME`; others are refused"},
			&cli.IntFlag{Name: "keep", DefaultText: "none", Usage: "keep `N` old versions of each repository that the list has"},
			&cli.StringFlag{Name: "if-running", Value: "wait", Usage: "`wait|skip` where another sync runs on the store"},
			&cli.StringFlag{Name: "window", DefaultText: "all day", Usage: "work within `HH:MM-HH:MM` of the local clock only, and leave the rest to the next run"},
			&cli.GenericFlag{Name: "splay", Value: args.NewSpan(0), DefaultText: "none", Usage: "begin up to `TIME` later: the same for this machine every night, another for each"},
			&cli.GenericFlag{Name: "repeat", Value: args.NewSpan(0), DefaultText: "run once", Usage: "run again every `TIME`, or with --window in each"},
			&cli.StringFlag{Name: "report", DefaultText: "none", Usage: "write what was done to `FILE` as JSON"},
			&cli.StringFlag{Name: "metrics", DefaultText: "none", Usage: "write it to `FILE` for Prometheus, such as node_exporter's textfile collector"},
			&cli.BoolFlag{Name: "dry-run", Usage: "change nothing, tell what would be done"},
			&cli.BoolFlag{Name: "keep-blobs", Usage: "keep the compressed layers in the cache too, for 'layerctl serve'"},
			setup.JobsFlag(),
			setup.AnyPlatformFlag(),
			setup.DevicesFlag(),
		),
		Action: runSync,
	}
}

// job is a command line of sync.
type job struct {
	*cli.Context
	schedule window.Schedule
	devices  unpack.Devices
	wait     bool
}

func runSync(c *cli.Context) (err error) {
	j, err := newJob(c)
	if err != nil {
		return err
	}
	if c.String("file") == "-" {
		if err := setup.BeforeStdin(c); err != nil {
			return err
		}
	}
	return j.schedule.Run(c.Context, j.once, func(err error) {
		terminal.NewConsole(c.App.ErrWriter).Fail(failure.Line(err, c.Bool("verbose")), failure.Hint(err))
	})
}

func newJob(c *cli.Context) (*job, error) {
	if err := setup.NoArguments(c); err != nil {
		return nil, err
	}
	j := &job{Context: c}
	switch {
	case c.String("file") == "":
		return nil, &args.UsageError{Problem: "sync needs -f", Advice: "-f /etc/layerctl/images.txt, for example"}
	case c.Int("keep") < 0:
		return nil, &args.UsageError{Problem: fmt.Sprintf("--keep %d is not a number of versions", c.Int("keep"))}
	case c.String("file") == "-" && setup.Span(c, "repeat") > 0:
		return nil, &args.UsageError{Problem: "-f - can be read once, and --repeat reads the list again"}
	}
	switch word := c.String("if-running"); word {
	case "wait", "skip":
		j.wait = word == "wait"
	default:
		return nil, &args.UsageError{Problem: fmt.Sprintf("there is no --if-running %q", word), Advice: "it is one of wait or skip"}
	}
	if err := setup.CheckJobs(c); err != nil {
		return nil, err
	}
	var err error
	if j.devices, err = setup.Devices(c); err != nil {
		return nil, err
	}
	j.schedule, err = newSchedule(c)
	return j, err
}

// once is one run. At until it interrupts the image that it pulls, and begins no other.
func (j *job) once(ctx context.Context, until time.Time) (err error) {
	list, err := j.list(ctx)
	if err != nil {
		return err
	}
	display, err := setup.NewProgress(j.Context)
	if err != nil {
		return err
	}
	if j.Bool("dry-run") {
		display = progress.None{}
	}
	store, err := setup.OpenStore(j.Context)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	n := &node{c: j.Context, store: store, display: display, givers: map[string]*engines.Giver{}, errs: map[string]error{}}
	defer func() { err = setup.Closing(err, n) }()
	var refs []string
	for _, image := range list {
		if image.Err == nil {
			refs = append(refs, image.Reference)
		}
	}
	engines.EndRepairs(j.Context, store, refs)
	hear := func(e layerctl.Event) { display.Event(e.Reference, e) }
	var ran error // kept apart, because WithClient would say that it is about the one reference
	err = setup.WithClient(j.Context, refs, func(client *layerctl.Client) error {
		ran = j.reconcile(ctx, n, client, list, until)
		return nil
	}, setup.Resources(j.Context, hear), setup.Retrying(display), func(o *layerctl.Options) { o.Devices, o.Layers = j.devices, n.layers })
	if err == nil {
		err = ran
	}
	return err
}

func (j *job) reconcile(ctx context.Context, n *node, client *layerctl.Client, list []imagelist.Image, until time.Time) error {
	wanted, err := setup.Wanted(j.Context)
	if err != nil {
		return err
	}
	failed := &incompleteError{of: len(list)}
	console := terminal.NewConsole(j.App.ErrWriter)
	report, err := reconcile.Run(ctx, list, reconcile.Options{
		Client: client, Store: n.store, Engines: n, Wanted: wanted, Into: j.StringSlice("into"),
		Keep: j.Int("keep"), DryRun: j.Bool("dry-run"), Until: until, List: j.String("file"),
		Reserve: setup.Reserve(j.Context),
		Wait:    j.wait, Waiting: func() { console.Say("waiting for another sync of this store") },
		Begin: n.begin, End: n.ended,
		Failed: func(i imagelist.Image, err error) {
			err = failure.Concerns(i.Reference, err)
			failed.failed++
			console.Fail(failure.Line(err, j.Bool("verbose")), failure.Hint(err))
		},
	})
	n.display.Summary()
	if errors.Is(err, reconcile.ErrRunning) {
		console.Say("another sync of this store is running, and does it")
		return nil
	}
	if failed.failed > 0 {
		failed.worst, err = err, failed
	}
	return errors.Join(err, j.tell(report))
}

// tell writes the report to the files that flags name, and to standard output.
func (j *job) tell(r syncreport.Report) error {
	if r.SchemaVersion == 0 {
		return nil // the run did not begin
	}
	if err := writeReport(j.Context, r); err != nil {
		return err
	}
	if err := writeMetrics(j.Context, r); err != nil {
		return err
	}
	switch {
	case j.Bool("json"):
		return terminal.WriteJSON(j.App.Writer, r)
	case j.Bool("quiet"):
		return nil
	}
	return printReport(j.App.Writer, r, j.Bool("verbose"))
}

// incompleteError is the error of a run after which some images are not as the list says.
type incompleteError struct {
	failed, of int
	worst      error
}

func (e *incompleteError) Error() string {
	return fmt.Sprintf("%d of %d images are not as the list says, see above", e.failed, e.of)
}

// Unwrap returns the error that decides the exit code.
func (e *incompleteError) Unwrap() error {
	if e.worst == nil {
		return errkind.Failure
	}
	return e.worst
}

// Hint returns "": the hint of each failure was printed with it.
func (e *incompleteError) Hint() string { return "" }
