// SPDX-License-Identifier: Apache-2.0

package trusted

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/recordfile"
	"github.com/layerctl/layerctl/trust"
)

// Record says by what an image was let in under a name.
type Record struct {
	Reference string        `json:"reference"`
	Root      digest.Digest `json:"root"`
	Manifest  digest.Digest `json:"manifest"`
	// Policy, Line and Scope are where it was asked for, and Asked is the digest
	// over all that was.
	Policy string        `json:"policy"`
	Line   int           `json:"line,omitempty"`
	Scope  string        `json:"scope,omitempty"`
	Asked  digest.Digest `json:"asked"`
	// Signatures are what met it.
	Signatures []trust.Accepted `json:"signatures"`
	// Unlisted says that the registry had no list of referrers then.
	Unlisted bool      `json:"unlisted,omitempty"`
	Time     time.Time `json:"time"`
}

// newRecord is what is kept of a verdict.
func newRecord(reference string, root, manifest digest.Digest, v trust.Verdict) Record {
	return Record{
		Reference: reference, Root: root, Manifest: manifest, Policy: v.Policy, Line: v.Line, Scope: v.Scope,
		Asked: v.Digest, Signatures: v.Accepted, Time: time.Now().UTC().Truncate(time.Second),
	}
}

// Where is what asked for it, for messages.
func (r Record) Where() string {
	if r.Line == 0 {
		return r.Policy
	}
	return fmt.Sprintf("%s line %d", r.Policy, r.Line)
}

const (
	folder = "trust"
	// fresh is how long a record is kept whose image is not in the store: it may
	// be on its way.
	fresh = 24 * time.Hour
)

func fileOf(reference string, manifest digest.Digest) string {
	return recordfile.Name(reference, manifest.String())
}

// put writes a record into the store whose directory is root, durably, and
// removes those of images that are long gone.
func put(ctx context.Context, root *os.File, rec Record, has func(manifest digest.Digest) bool) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("record by what an image was let in: %w", err)
		}
	}()
	dir, err := durable.OpenOrMakeDirAt(ctx, root, folder, 0o700)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if err := recordfile.Write(ctx, dir, fileOf(rec.Reference, rec.Manifest), rec); err != nil {
		return err
	}
	return sweep(ctx, dir, has)
}

func sweep(ctx context.Context, dir *os.File, has func(manifest digest.Digest) bool) error {
	list, _ := list(dir) // what cannot be read stays
	for _, r := range list {
		if time.Since(r.Time) < fresh || has(r.Manifest) {
			continue
		}
		if err := durable.Remove(ctx, dir, fileOf(r.Reference, r.Manifest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// find is the record of a reference and a manifest; found is false where there
// is none, or none that can be read.
func find(root *os.File, reference string, manifest digest.Digest) (_ Record, found bool) {
	dir, err := durable.OpenDirAt(root, folder)
	if err != nil {
		return Record{}, false
	}
	defer dir.Close()
	rec, err := recordfile.Read(dir, fileOf(reference, manifest), belongs)
	return rec, err == nil
}

// List reads the records of the store whose directory is root. Those that cannot
// be read are left out, and the error names them.
func List(root *os.File) ([]Record, error) {
	dir, err := durable.OpenDirAt(root, folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list by what images were let in: %w", err)
	}
	defer dir.Close()
	return list(dir)
}

// Of are the records of one image.
func Of(root *os.File, manifest digest.Digest) ([]Record, error) {
	all, err := List(root)
	return For(all, manifest), err
}

// For are those of one image among others.
func For(all []Record, manifest digest.Digest) []Record {
	own := []Record{}
	for _, r := range all {
		if r.Manifest == manifest {
			own = append(own, r)
		}
	}
	return own
}

func list(dir *os.File) ([]Record, error) {
	return recordfile.List(dir, "by what an image was let in", belongs)
}

func belongs(rec Record, name string) bool {
	return fileOf(rec.Reference, rec.Manifest) == name && rec.Manifest.Validate() == nil
}

// Copy puts the records of the store whose directory is from into that of to. One
// that cannot be read is left out: the policy is asked again.
func Copy(ctx context.Context, from, to *os.File) error {
	all, _ := List(from)
	for _, rec := range all {
		if err := put(ctx, to, rec, func(digest.Digest) bool { return true }); err != nil {
			return err
		}
	}
	return nil
}
