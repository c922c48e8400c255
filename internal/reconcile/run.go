// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/imagelist"
	"github.com/layerctl/layerctl/internal/syncreport"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
)

// Options say what a run works with. Client, Store, Engines and Wanted must be
// set. What the client may not bring, for want of trust or of a platform, a run
// does not bring.
type Options struct {
	Client  *layerctl.Client
	Store   *overlaystore.Store
	Engines Engines
	// Wanted is what the client chooses for.
	Wanted platform.Wanted
	// Into are the engines of the images whose line names none.
	Into []string
	// Keep is how many old versions of each repository stay: images that the
	// list has named before.
	Keep int
	// DryRun changes nothing and says what would be done.
	DryRun bool
	// Wait waits for another run on the store; false is ErrRunning then.
	Wait    bool
	Waiting func()
	// Until ends the run: no image is begun after it, and one that is on its way
	// is left for the next run. Zero is no end.
	Until time.Time
	// Now tells the time; nil is the clock.
	Now func() time.Time
	// Reserve is what stays free on the disk, in bytes.
	Reserve uint64
	// Begin and End hear of each image that is brought, and Failed at the end of
	// each that the node has not as the list says, and why; nil hears nothing.
	Begin  func(image imagelist.Image, number, of int)
	End    func(image imagelist.Image, err error)
	Failed func(image imagelist.Image, err error)
	// List is where the list came from, for the report.
	List string
}

// Engines are those of the node. A name is one of those that a list has.
type Engines interface {
	// Give gives an image of the store to an engine; one that has it keeps it.
	// root is what the image's reference means, and Name of image what the
	// engine shall call it.
	Give(into string, client *layerctl.Client, image imagelist.Image, stored overlaystore.Image, root digest.Digest) error
	// Users lists the containers that stand on an image in any engine that it
	// was given to. Where an engine cannot be asked it is an error.
	Users(ctx context.Context, stored overlaystore.Image) ([]string, error)
	// Take takes an image back from all that it was given to.
	Take(manifest digest.Digest) error
	// Prune takes back what the store no longer has, and removes from disk, the
	// cache too, what nothing needs: how many bytes that were.
	Prune() (int64, error)
}

// errWindow is why a run leaves the rest to the next one.
var errWindow = errors.New("the window has ended")

// run is one run.
type run struct {
	Options
	*state
	rows   []*row
	olds   []held // names that runs have made and the list does not have
	gone   []syncreport.Image
	report syncreport.Report
	broken bool // the list has a line that makes no sense
	unread bool // an image of the store could not be read
	plans  []layerctl.Plan
	errs   []error
}

// Run makes the node equal to the list. The error is what gives the exit code:
// of several the one that waiting helps least. The report is complete unless
// nothing could be begun.
func Run(ctx context.Context, list []imagelist.Image, o Options) (syncreport.Report, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s, err := openState(ctx, o.Store.Dir(), o.Wait, o.Waiting)
	if err != nil {
		return syncreport.Report{}, err
	}
	r := &run{Options: o, state: s}
	err = r.run(ctx, list)
	return r.report, errors.Join(err, s.close())
}

func (r *run) run(ctx context.Context, list []imagelist.Image) error {
	r.begin()
	for _, image := range list {
		r.add(image)
	}
	r.part()
	if !r.DryRun {
		if err := r.write(ctx, r.names()); err != nil {
			return err
		}
	}
	r.look(ctx)
	r.bring(ctx)
	if ctx.Err() == nil {
		r.drop(ctx)
		r.prune()
	}
	if !r.DryRun {
		r.errs = append(r.errs, r.write(context.WithoutCancel(ctx), r.names()))
	}
	return r.end(ctx)
}

// begin opens the report.
func (r *run) begin() {
	node, _ := os.Hostname() // a report without a name is one all the same
	r.report = syncreport.Report{
		SchemaVersion: syncreport.Version, Node: node, Store: r.Store.Path(), List: r.List, DryRun: r.DryRun, Began: now(r.Options),
		Images: []syncreport.Image{},
	}
	if last, err := Last(r.Store.Dir()); err == nil {
		r.report.Succeeded = last.Succeeded
	}
}

// now is the time as reports have it.
func now(o Options) time.Time { return o.Now().UTC().Truncate(time.Millisecond) }

// end closes the report and keeps it.
func (r *run) end(ctx context.Context) error {
	records, err := given.List(r.Store.Dir())
	errs := append(r.errs, err)
	for _, w := range r.rows {
		w.close()
		r.report.Images = append(r.report.Images, w.out)
		r.report.Received += w.out.Received
		errs = append(errs, w.err)
		if w.err != nil && r.Failed != nil {
			r.Failed(w.asked, w.err)
		}
	}
	r.report.Images = append(r.report.Images, r.gone...)
	for i, image := range r.report.Images {
		r.report.Images[i].Engines = enginesOf(records, image.Manifest)
	}
	err = worst(append(errs, context.Cause(ctx)))
	r.report.Error = syncreport.ProblemOf(errors.Join(r.errs...))
	r.report.ExitCode = int(errkind.Of(err))
	r.report.Free, _ = r.Store.Free()
	r.report.Ended = now(r.Options)
	if r.report.ExitCode == 0 && !r.DryRun {
		ended := r.report.Ended
		r.report.Succeeded = &ended
	}
	if r.DryRun {
		return err
	}
	// A run that is told to end still says how far it came.
	return errors.Join(err, r.keep(context.WithoutCancel(ctx), r.report))
}

// enginesOf are those that were given an image to the end.
func enginesOf(records []given.Record, manifest digest.Digest) []syncreport.Engine {
	engines := []syncreport.Engine{}
	for _, g := range records {
		if g.Manifest == manifest && g.Complete {
			engines = append(engines, syncreport.Engine{Kind: g.Kind, Address: g.Address, Namespace: g.Namespace, Names: g.Names})
		}
	}
	return engines
}

// worst is of several errors the one that gives the exit code: what waiting
// helps least, such as a full disk, before what comes and goes, such as a network.
// It is nil where there is none.
func worst(errs []error) error {
	for _, kind := range []errkind.Kind{
		errkind.Filesystem, errkind.Mismatch, errkind.Malformed, errkind.Denied, errkind.NotFound,
		errkind.Usage, errkind.Failure, errkind.Busy, errkind.Network,
	} {
		for _, err := range errs {
			if errkind.Of(err) == kind {
				return err
			}
		}
	}
	return nil
}
