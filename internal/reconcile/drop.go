// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/layerctl/layerctl/internal/syncreport"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
)

// keepOld gives the image that a row's name means in the store another one, with
// its digest, before the name moves on: whether it may go is seen when the new
// one is there.
func (r *run) keepOld(ctx context.Context, w *row) error {
	if w.stored.Manifest == "" || w.stored.Manifest == w.out.Wanted || w.ref.Digest() != "" {
		return nil
	}
	old := w.held
	old.Reference, old.Manifest = w.ref.WithDigest(w.stored.Manifest).String(), w.stored.Manifest
	if w.held.Manifest != w.stored.Manifest {
		old.Root = ""
	}
	if !slices.ContainsFunc(r.olds, func(h held) bool { return h.Reference == old.Reference && h.Platform == old.Platform }) {
		r.olds = slices.Insert(r.olds, 0, old)
		if err := r.write(ctx, r.names()); err != nil {
			return err
		}
	}
	return r.Store.Tag(ctx, old.Reference, old.Manifest, overlaystore.TagOptions{})
}

// drop takes away what the list no longer names and nothing keeps.
func (r *run) drop(ctx context.Context) {
	images := r.images()
	kept := map[string]int{}
	var stay []held
	for _, old := range r.olds {
		image, found := imageOf(images, old)
		if !found {
			continue // somebody else has removed it
		}
		reason, err := r.stays(ctx, old, image, kept)
		if err == nil && reason == "" && !r.DryRun {
			reason, err = r.remove(ctx, old, image)
			images = r.images() // another name of it may be the last now
		}
		if err != nil || reason != "" || r.DryRun {
			stay = append(stay, old)
		}
		r.errs = append(r.errs, err)
		r.gone = append(r.gone, r.goneRow(old, image, reason, err))
	}
	r.olds = stay
}

// images are those of the store; what cannot be read is told of once.
func (r *run) images() []overlaystore.Image {
	images, err := r.Store.Images()
	if err != nil && !r.unread {
		r.unread = true
		r.errs = append(r.errs, err)
	}
	return images
}

// imageOf is the image that a name means in the store.
func imageOf(images []overlaystore.Image, old held) (overlaystore.Image, bool) {
	i := slices.IndexFunc(images, func(i overlaystore.Image) bool {
		return slices.Contains(i.Refs, old.Reference) && (old.Manifest == "" || old.Manifest == i.Manifest)
	})
	if i < 0 {
		return overlaystore.Image{}, false
	}
	return images[i], true
}

func (r *run) goneRow(old held, image overlaystore.Image, reason string, err error) syncreport.Image {
	row := syncreport.Image{
		Reference: old.Reference, Platform: old.Platform, State: syncreport.Dropped, Reason: reason, Manifest: image.Manifest, Size: image.Size,
		Root: old.Root, Into: []string{}, Hosts: []syncreport.Host{}, Engines: []syncreport.Engine{}, Error: syncreport.ProblemOf(err),
	}
	if reason != "" || err != nil {
		row.State = syncreport.Kept
	}
	if !old.Verified.IsZero() {
		row.Verified = &old.Verified
	}
	return row
}

// stays says why an old name stays; "" is that it may go.
func (r *run) stays(ctx context.Context, old held, image overlaystore.Image, kept map[string]int) (string, error) {
	if r.broken {
		return "the list has a line that makes no sense", nil
	}
	ref, err := registry.Parse(old.Reference)
	if err != nil {
		return "", nil // nobody can ask for it
	}
	listed := false
	for _, w := range r.rows {
		if repository(w.ref) != repository(ref) {
			continue
		}
		listed = true
		if w.err != nil || w.late {
			return "what takes its place is not there", nil
		}
		if w.stored.Manifest == image.Manifest {
			return "", nil // it is the current one, by another name
		}
	}
	if listed && kept[repository(ref)] < r.Keep {
		kept[repository(ref)]++
		return "an old version", nil
	}
	return r.used(ctx, image)
}

// used says who uses an image that would go with its last name.
func (r *run) used(ctx context.Context, image overlaystore.Image) (string, error) {
	if len(image.Refs) > 1 {
		return "", nil
	}
	list, err := r.Engines.Users(ctx, image)
	switch {
	case err != nil:
		return fmt.Sprintf("nobody can tell whether it is used: %v", err), nil
	case len(list) > 0:
		return "used by " + users(list), nil
	}
	return "", nil
}

// remove takes a name away, and with an image's last one the image from the
// engines. It returns why that cannot be.
func (r *run) remove(ctx context.Context, old held, image overlaystore.Image) (string, error) {
	err := r.Store.Remove(ctx, old.Reference, image.Manifest)
	if errors.Is(err, overlaystore.ErrBusy) {
		return "it is mounted", nil
	}
	// Somebody else may have removed it while the engines were asked.
	if err != nil && !errors.Is(err, overlaystore.ErrNotFound) {
		return "", err
	}
	if len(image.Refs) > 1 {
		return "", nil
	}
	return "", r.Engines.Take(image.Manifest)
}

// makeRoom lets old versions go, the oldest first, until the disk has room for
// so many bytes; 0 means for as many as there can be. It says whether anything
// has changed.
func (r *run) makeRoom(ctx context.Context, need uint64) (changed bool) {
	freed := r.prune() > 0
	for i := len(r.olds) - 1; i >= 0 && (need == 0 || r.Store.Room(need, 0) != nil); i-- {
		image, found := imageOf(r.images(), r.olds[i])
		if !found || r.broken || !r.succeeded(r.olds[i]) {
			continue
		}
		if reason, err := r.used(ctx, image); reason != "" || err != nil {
			continue
		}
		reason, err := r.remove(ctx, r.olds[i], image)
		if reason != "" || err != nil {
			continue
		}
		r.gone = append(r.gone, r.goneRow(r.olds[i], image, "", nil))
		r.olds = slices.Delete(r.olds, i, i+1)
		freed = r.prune() > 0 || freed
	}
	if need == 0 {
		return freed
	}
	return r.Store.Room(need, 0) == nil
}

// succeeded says whether what takes the place of an old version is there, or
// nothing does.
func (r *run) succeeded(old held) bool {
	ref, err := registry.Parse(old.Reference)
	listed := false
	for _, w := range r.rows {
		if err != nil || repository(w.ref) != repository(ref) {
			continue
		}
		if w.ready || w.out.State == syncreport.Pulled {
			return true
		}
		listed = true
	}
	return !listed
}

// prune removes what nothing needs: how many bytes that were.
func (r *run) prune() int64 {
	if r.DryRun {
		return 0
	}
	freed, err := r.Engines.Prune()
	r.errs = append(r.errs, err)
	r.report.Pruned += freed
	return freed
}
