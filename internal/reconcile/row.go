// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/internal/imagelist"
	"github.com/layerctl/layerctl/internal/syncreport"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// row is an image of the list on its way.
type row struct {
	asked  imagelist.Image
	out    syncreport.Image
	client *layerctl.Client
	wanted platform.Wanted
	ref    registry.Reference
	stored overlaystore.Image // what the node has of that name
	held   held
	ready  bool // what the node has is what the reference means, and whole
	late   bool // the window has ended before
	err    error
}

// add makes a row of an image of the list.
func (r *run) add(image imagelist.Image) {
	image.Into = r.into(image)
	w := &row{asked: image, client: r.Client, wanted: r.Wanted, err: image.Err}
	w.out = syncreport.Image{
		Line: image.Number, Reference: image.Reference, Platform: image.Platform, Pin: image.Pin, Name: image.Name,
		Into: append([]string{}, image.Into...), Hosts: []syncreport.Host{}, Engines: []syncreport.Engine{},
	}
	r.rows = append(r.rows, w)
	if w.err != nil {
		r.broken = true
		return
	}
	if w.ref, w.err = registry.Parse(image.Reference); w.err != nil {
		return
	}
	if image.Platform != "" {
		w.client = r.Client.For(image.Platform)
		w.wanted, w.err = platform.ParseWanted(image.Platform)
	}
	w.held = held{Reference: w.ref.String(), Platform: image.Platform, Seen: r.report.Began}
	for _, h := range r.known {
		if h.Reference == w.held.Reference && h.Platform == w.held.Platform {
			w.held.Manifest, w.held.Root, w.held.Verified = h.Manifest, h.Root, h.Verified
		}
	}
}

// into are the engines of an image.
func (r *run) into(image imagelist.Image) []string {
	if len(image.Into) > 0 {
		return image.Into
	}
	return r.Into
}

// part puts the names that the list no longer has apart, the latest first.
func (r *run) part() {
	for _, h := range r.known {
		if !slices.ContainsFunc(r.rows, func(w *row) bool {
			return w.held.Reference == h.Reference && w.held.Platform == h.Platform
		}) {
			r.olds = append(r.olds, h)
		}
	}
	sort.SliceStable(r.olds, func(i, j int) bool { return r.olds[i].Seen.After(r.olds[j].Seen) })
}

// names are all that the run knows of: those of the list and those that stay.
func (r *run) names() []held {
	names := []held{}
	for _, w := range r.rows {
		if w.held.Reference != "" {
			names = append(names, w.held)
		}
	}
	return append(names, r.olds...)
}

// has says that the node has an image under the row's name.
func (w *row) has(stored overlaystore.Image, root digest.Digest) {
	w.stored, w.held.Manifest, w.held.Root = stored, stored.Manifest, root
}

// close completes what the report says.
func (w *row) close() {
	switch {
	case w.err != nil:
		w.out.State, w.out.Error = syncreport.Failed, syncreport.ProblemOf(w.err)
	case w.late:
		w.out.State, w.out.Reason = syncreport.Postponed, errWindow.Error()
	case w.out.State == "":
		w.out.State = syncreport.Present
	}
	w.out.Manifest = w.stored.Manifest
	if w.stored.Manifest == "" {
		return
	}
	if w.out.Size == 0 {
		w.out.Size = w.stored.Size
	}
	verified := w.held.Verified
	if verified.IsZero() {
		verified = w.stored.Created
	}
	w.out.Verified = &verified
}

// repository is what the versions of an image have in common.
func repository(ref registry.Reference) string {
	if ref.Transport() == registry.Docker {
		return ref.Host() + "/" + ref.Repository()
	}
	return string(ref.Transport()) + ":" + ref.Path()
}

// seconds is a time that passed, as reports have it.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// users is who stands on an image, in words.
func users(list []string) string {
	const most = 3
	more := ""
	if len(list) > most {
		list, more = list[:most], " and others"
	}
	return strings.Join(list, ", ") + more
}
