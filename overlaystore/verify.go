// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/layercheck"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/internal/tarlayer"
	"github.com/layerctl/layerctl/internal/words"
)

// VerifyOptions are how to verify. The zero value compares everything.
type VerifyOptions struct {
	// Quick leaves out contents and attributes: it compares types, sizes,
	// modes, owners and times.
	Quick bool
	// Jobs is how many files are read at once; 0 means one for each CPU.
	Jobs int
	// Images limits the check to their layers; nil means every layer, every
	// image and every reference.
	Images []Image
	// Progress hears of each layer before it is read; nil means nobody does.
	Progress func(layer digest.Digest, number, of int)
}

// Difference is one thing in a layer that is not what was committed.
type Difference struct {
	Layer digest.Digest // diffID, or chainID of a fix layer
	Fix   bool
	Path  string // in the layer, "" for the layer itself
	Field string // such as "content", "mode", "xattr user.x", "missing"
	Got   string
	Want  string
}

func (d Difference) String() string {
	name := "layer"
	if d.Fix {
		name = "fix layer"
	}
	s := fmt.Sprintf("%s %s: ", name, d.Layer)
	if d.Path != "" {
		s += fmt.Sprintf("%q: ", d.Path)
	}
	s += d.Field
	if d.Got != "" || d.Want != "" {
		s += fmt.Sprintf(" is %s, was %s", d.Got, d.Want)
	}
	return s
}

// Report is what a verification found.
type Report struct {
	Layers int
	Files  int64 // paths
	Bytes  int64 // of content that was read
	// Differences are in the order of layers and, within one, of paths. A
	// layer that differs in very many places is not listed in full.
	Differences []Difference
}

// Damaged are the diffIDs of the layers that differ or are missing, without
// fix layers, and fixes the chainIDs of the fix layers that do.
func (r Report) Damaged() (layers, fixes []digest.Digest) {
	for _, d := range r.Differences {
		list := &layers
		if d.Fix {
			list = &fixes
		}
		if !slices.Contains(*list, d.Layer) {
			*list = append(*list, d.Layer)
		}
	}
	return layers, fixes
}

// Verify compares layers and fix layers with their records, path by path. When
// something differs the report names it and the error is an ErrDamaged.
func (s *Store) Verify(ctx context.Context, o VerifyOptions) (Report, error) {
	r, err := s.verify(ctx, o)
	if err == nil && len(r.Differences) > 0 {
		layers, fixes := r.Damaged()
		err = fmt.Errorf("%s %w", words.Count(len(layers)+len(fixes), "layer"), ErrDamaged)
	}
	if err != nil {
		return r, fmt.Errorf("verify %s: %w", s.path, err)
	}
	return r, nil
}

func (s *Store) verify(ctx context.Context, o VerifyOptions) (Report, error) {
	var r Report
	targets, records, err := s.verifyTargets(ctx, o)
	if err != nil {
		return r, err
	}
	for i, t := range targets {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if o.Progress != nil {
			o.Progress(t.id, i+1, len(targets))
		}
		if err := s.verifyOne(ctx, t, o, &r); err != nil {
			return r, err
		}
	}
	return r, records
}

type verifyTarget struct {
	id     digest.Digest
	fix    bool
	all    bool    // found by listing: nothing is known to need it
	images []Image // that need it, by the caller's word; nil means to look
}

// verifyTargets lists what to verify, each once. What is wrong with the records
// of images and references is in the error records.
func (s *Store) verifyTargets(ctx context.Context, o VerifyOptions) (_ []verifyTarget, records, err error) {
	images, everything := o.Images, o.Images == nil
	if everything {
		unlock, err := s.Share(ctx)
		if err != nil {
			return nil, nil, err
		}
		images, records = s.Images()
		records = errors.Join(records, s.verifyRefs())
		if err := unlock(); err != nil {
			return nil, nil, err
		}
	}
	var targets []verifyTarget
	add := func(t verifyTarget) {
		same := func(u verifyTarget) bool { return u.id == t.id && u.fix == t.fix }
		if !slices.ContainsFunc(targets, same) {
			targets = append(targets, t)
		}
	}
	for _, img := range images {
		for _, id := range img.Layers {
			add(verifyTarget{id: id, images: o.Images})
		}
		if img.Fix != "" {
			add(verifyTarget{id: img.Fix, fix: true, images: o.Images})
		}
	}
	if !everything {
		return targets, records, nil
	}
	for _, dir := range []string{storedirs.Layers, storedirs.Fix} {
		names, err := fsat.Names(s.dirs[dir])
		if err != nil {
			return nil, nil, err
		}
		slices.Sort(names)
		for _, name := range names {
			add(verifyTarget{id: digest.NewDigestFromEncoded(digest.SHA256, name), fix: dir == storedirs.Fix, all: true})
		}
	}
	return targets, records, nil
}

// verifyRefs finds references to images that are not there.
func (s *Store) verifyRefs() error {
	refs, err := s.refs()
	errs := []error{err}
	for manifest, names := range refs {
		_, err := s.Image(manifest)
		if fsat.IsShortage(err) {
			return err
		}
		for _, n := range names {
			if err != nil {
				errs = append(errs, fmt.Errorf("reference %q: %w: %w", n.Ref, ErrDamaged, err))
			}
		}
	}
	return errors.Join(errs...)
}

// verifyOne verifies a layer that other processes may remove, replace and
// bring again meanwhile.
func (s *Store) verifyOne(ctx context.Context, t verifyTarget, o VerifyOptions, r *Report) error {
	for {
		dir, err := s.openTarget(t)
		if errors.Is(err, ErrNotFound) {
			missing, err := s.missing(ctx, t)
			if missing {
				r.Layers++
				r.Differences = append(r.Differences, Difference{Layer: t.id, Fix: t.fix, Field: "missing"})
			}
			if err != nil || missing || t.all {
				return err
			}
			if there, err := s.present(t); err != nil || !there {
				return err // nobody needs it any more
			}
			continue
		}
		if err != nil {
			return err
		}
		c := layercheck.New(layercheck.Options{Form: s.format.Form, Quick: o.Quick, Jobs: o.Jobs})
		err = s.check(ctx, t, c, dir, o.Quick)
		moved := s.moved(t, dir)
		dir.Close() // only read
		if ctx.Err() == nil && moved {
			continue // what was seen of it says nothing
		}
		if errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
			c.Differ("", "record", err.Error(), "readable")
			err = nil
		}
		r.add(t, c.Result())
		return err
	}
}

// check compares a layer that is open with its records.
func (s *Store) check(ctx context.Context, t verifyTarget, c *layercheck.Check, dir *os.File, quick bool) error {
	rec, err := ReadRecord(dir)
	if err != nil {
		return err
	}
	if rec.DiffID != t.id {
		c.Differ("", "record", "that of "+string(rec.DiffID), string(t.id))
	}
	if s.tars() {
		return tarlayer.Check(ctx, c, dir, s.recorded(t.id, &rec), quick)
	}
	root, err := durable.OpenDirAt(dir, storedirs.LowerDir)
	if err != nil {
		return err
	}
	defer root.Close()
	return c.Run(ctx, dir, root)
}

// recorded is what is known of a layer whose tar is kept, or of an index.
func (s *Store) recorded(id digest.Digest, rec *LayerRecord) tarlayer.Recorded {
	r := tarlayer.Recorded{DiffID: id, Size: rec.Size, Index: rec.Index}
	if s.format.Verity {
		r.Verity = s.verity
	}
	return r
}

// add adds what was found in one layer.
func (r *Report) add(t verifyTarget, found layercheck.Result) {
	r.Layers++
	r.Files += found.Files
	r.Bytes += found.Bytes
	for _, d := range found.Differences {
		r.Differences = append(r.Differences, Difference{t.id, t.fix, d.Path, d.Field, d.Got, d.Want})
	}
}

// moved reports whether dir is no longer where the target is.
func (s *Store) moved(t verifyTarget, dir *os.File) bool {
	again, err := s.openTarget(t)
	if err != nil {
		return errors.Is(err, ErrNotFound)
	}
	defer again.Close()
	before, err1 := dir.Stat()
	now, err2 := again.Stat()
	return err1 == nil && err2 == nil && !os.SameFile(before, now)
}

func (s *Store) present(t verifyTarget) (bool, error) {
	dir, err := s.openTarget(t)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, dir.Close()
}

// missing reports whether a layer is not there although an image needs it.
func (s *Store) missing(ctx context.Context, t verifyTarget) (bool, error) {
	if t.all {
		return false, nil
	}
	// Prune keeps out: it takes images first, and layers only then.
	unlock, err := s.Share(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	images := t.images
	if images == nil {
		// What is wrong with their records is reported elsewhere.
		if images, err = s.Images(); err != nil && !errors.Is(err, ErrDamaged) {
			return false, err
		}
	}
	dirs := map[string]bool{}
	for _, img := range images {
		addDirs(dirs, img)
	}
	if !dirs[t.id.Encoded()] {
		return false, nil
	}
	there, err := s.present(t)
	return !there, err
}

func (s *Store) openTarget(t verifyTarget) (*os.File, error) {
	if !t.fix {
		dir, _, err := s.openLayer(t.id)
		return dir, err
	}
	dir, _, err := s.openFix(t.id)
	return dir, err
}
