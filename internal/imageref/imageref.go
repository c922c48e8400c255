// SPDX-License-Identifier: Apache-2.0

// Package imageref keeps the files that say which image a reference means: one
// for each reference and platform, in refs/ of a store.
package imageref

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sort"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/platform"
)

// Record is one file of refs/.
type Record struct {
	Ref      string        `json:"ref"`
	Manifest digest.Digest `json:"manifest"`
	// Platform is what the image was listed for where it came from; nil in
	// records of before there was one.
	Platform *ocispec.Platform `json:"platform,omitempty"`
	File     string            `json:"-"` // its name in refs/

	key string
}

const (
	suffix    = ".json"
	maxRecord = 1 << 16
)

// key is a platform as a part of a name: what means the same has the same.
func key(p ocispec.Platform) string {
	text := platform.Format(p)
	if n, err := platform.Parse(text); err == nil {
		return platform.Format(n)
	}
	return text
}

// For is rec for another platform; nil leaves it open.
func (r Record) For(p *ocispec.Platform) Record {
	r.Platform, r.key = p, key(ocispec.Platform{})
	if p != nil {
		r.key = key(*p)
	}
	return r
}

// plain is the file of the first platform of a reference, the only one that
// readers without platforms look for: a hash, for a reference may hold anything
// and be longer than a file name.
func plain(ref string) string { return hash(ref) }

// keyed is the file of another platform.
func keyed(ref, key string) string { return hash(ref + "\x00" + key) }

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:]) + suffix
}

// Refs are the records in a directory.
type Refs struct {
	Dir *os.File
	// Platform is what the image with a manifest says that it is for, nil where
	// it says nothing; there is false where there is no such image.
	Platform func(manifest digest.Digest) (_ *ocispec.Platform, there bool)
}

// List reads all records, sorted by reference and platform. The error names
// those that cannot be read.
func (x Refs) List() ([]Record, error) {
	records, err := x.files()
	return slices.CompactFunc(records, same), err
}

// passes is how often what changes while it is read is looked at again, at most.
const passes = 100

// files are the records of all files. Of several for the same that which counts
// comes first.
func (x Refs) files() ([]Record, error) {
	var records []Record
	var errs []error
	seen := map[string]bool{}
	for range passes {
		names, err := fsat.Names(x.Dir)
		if err != nil {
			return nil, err
		}
		// The reference of a file that is gone may have moved on to one that was not
		// there to be listed.
		whole := true
		for _, name := range names {
			if seen[name] || strings.HasPrefix(name, durable.TempPrefix) {
				continue
			}
			rec, err := read(x.Dir, name)
			if errors.Is(err, fs.ErrNotExist) {
				whole = false
				continue
			}
			if fsat.IsShortage(err) {
				return nil, err // no record is damaged for want of descriptors
			}
			seen[name] = true
			if err != nil {
				errs = append(errs, err)
				continue
			}
			records = append(records, x.complete(rec))
		}
		if whole {
			break
		}
	}
	sort.Slice(records, func(i, j int) bool {
		a, b := records[i], records[j]
		return cmp.Or(cmp.Compare(a.Ref, b.Ref), cmp.Compare(a.key, b.key), cmp.Compare(rank(a), rank(b))) < 0
	})
	return records, errors.Join(errs...)
}

// complete adds the platform that the image is for, where the record names none.
func (x Refs) complete(rec Record) Record {
	if rec.Platform == nil {
		rec.Platform, _ = x.Platform(rec.Manifest)
	}
	return rec.For(rec.Platform)
}

// Named are the records of ref whose images are there, each platform once. The
// error is fs.ErrNotExist where there is none, and ErrDamaged where it cannot be
// read.
func (x Refs) Named(ref string) ([]Record, error) {
	var before []Record
	for range passes {
		all, err := x.files()
		if fsat.IsShortage(err) {
			return nil, err
		}
		here := of(all, ref)
		if named := slices.DeleteFunc(slices.Clone(here), x.gone); len(named) > 0 {
			return slices.CompactFunc(named, same), nil
		}
		// The reference may have moved on since it was read, and its image be pruned.
		if len(here) > 0 && !slices.EqualFunc(here, before, unmoved) {
			before = here
			continue
		}
		if damaged(x.Dir, ref) {
			return nil, err
		}
		break
	}
	return nil, fs.ErrNotExist
}

// unmoved reports whether two reads of one reference found the same.
func unmoved(a, b Record) bool { return a.File == b.File && a.Manifest == b.Manifest }

// gone says that a record's image is no longer there.
func (x Refs) gone(r Record) bool {
	_, there := x.Platform(r.Manifest)
	return !there
}

// rank puts the plain file first: whoever knows no platforms writes only that.
func rank(r Record) string {
	if r.File == plain(r.Ref) {
		return ""
	}
	return r.File
}

func read(dir *os.File, name string) (Record, error) {
	rec := Record{File: name}
	raw, err := storedirs.ReadFile(dir, name, maxRecord)
	if err != nil {
		return rec, err
	}
	if err := json.Unmarshal(raw, &rec); err != nil {
		return rec, fmt.Errorf("%w: reference record %s: %w", journal.ErrDamaged, name, err)
	}
	return rec, nil
}

// same says that two records are for the same reference and platform.
func same(a, b Record) bool { return a.Ref == b.Ref && a.key == b.key }

// of are the records of one reference.
func of(records []Record, ref string) []Record {
	return slices.DeleteFunc(slices.Clone(records), func(r Record) bool { return r.Ref != ref })
}

// Find takes the record that fits best; the error is a [*platform.NoMatchError]
// where none does. The zero Wanted takes the only one there is.
func Find(records []Record, w platform.Wanted) (Record, error) {
	var candidates []ocispec.Descriptor
	for _, r := range records {
		d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: r.Manifest}
		if r.Platform != nil && (r.Platform.OS != "" || r.Platform.Architecture != "") {
			d.Platform = r.Platform
		}
		candidates = append(candidates, d)
	}
	if w.IsZero() && len(records) == 1 {
		return records[0], nil
	}
	choice, err := platform.Choose(w, candidates)
	if err != nil {
		return Record{}, err
	}
	return records[choice.Index], nil
}

// Put makes ref name an image for a platform, nil for one that it does not
// say, durably. Then it removes what that supersedes of the reference's other
// records: that of this platform, and those that fit what the image was chosen
// for better than it does. Only one process may do so at a time.
func (x Refs) Put(ctx context.Context, ref string, manifest digest.Digest, p *ocispec.Platform, w platform.Wanted) error {
	all, err := x.files()
	if fsat.IsShortage(err) {
		return err
	}
	had := slices.DeleteFunc(of(all, ref), x.gone)
	rec := Record{Ref: ref, Manifest: manifest, File: plain(ref)}.For(p)
	if slices.ContainsFunc(had, func(r Record) bool { return r.File == rec.File && r.key != rec.key }) {
		rec.File = keyed(rec.Ref, rec.key)
	}
	raw, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if len(raw) > maxRecord {
		return fmt.Errorf("it is %d bytes long", len(rec.Ref))
	}
	if err := durable.WriteFile(ctx, x.Dir, rec.File, append(raw, '\n'), 0o600); err != nil {
		return err
	}
	return x.remove(ctx, superseded(rec, had, w))
}

func superseded(rec Record, had []Record, w platform.Wanted) (files []string) {
	left := []Record{rec}
	for _, r := range had {
		switch {
		case r.File == rec.File:
		case r.key == rec.key:
			files = append(files, r.File)
		default:
			left = append(left, r)
		}
	}
	for !w.IsZero() {
		best, err := Find(left, w)
		if err != nil || best.File == rec.File {
			break
		}
		files = append(files, best.File)
		left = slices.DeleteFunc(left, func(r Record) bool { return r.File == best.File })
	}
	return files
}

// Remove removes the records that make ref name the image, durably, or with ""
// all of ref, damaged ones too. Those that may not go refuse says. The error is
// fs.ErrNotExist where there is none.
func (x Refs) Remove(ctx context.Context, ref string, manifest digest.Digest, refuse func(Record) error) error {
	all, err := x.files()
	if fsat.IsShortage(err) {
		return err
	}
	all = of(all, ref)
	var files []string
	for _, r := range slices.CompactFunc(slices.Clone(all), same) {
		if manifest != "" && r.Manifest != manifest {
			continue
		}
		if err := refuse(r); err != nil {
			return err
		}
		for _, hidden := range all {
			if same(hidden, r) {
				files = append(files, hidden.File)
			}
		}
	}
	if manifest == "" && damaged(x.Dir, ref) {
		files = append(files, plain(ref))
	}
	if len(files) == 0 {
		return fs.ErrNotExist
	}
	return x.remove(ctx, files)
}

// remove removes files. One that is gone is no error.
func (x Refs) remove(ctx context.Context, files []string) error {
	if len(files) == 0 {
		return nil
	}
	for _, name := range files {
		if err := durable.Remove(ctx, x.Dir, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return durable.SyncDir(ctx, x.Dir)
}

// Unneeded are the files of the records of images that are in gone, or no longer
// there.
func (x Refs) Unneeded(gone map[digest.Digest]bool) ([]string, error) {
	all, err := x.files()
	if fsat.IsShortage(err) {
		return nil, err
	}
	var files []string
	for _, r := range all {
		if gone[r.Manifest] || x.gone(r) {
			files = append(files, r.File)
		}
	}
	return files, nil
}

// damaged says that the record of ref cannot be read.
func damaged(dir *os.File, ref string) bool {
	_, err := read(dir, plain(ref))
	return errors.Is(err, journal.ErrDamaged)
}
