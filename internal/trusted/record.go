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

// Record says why an image was accepted under a name.
type Record struct {
	Reference string        `json:"reference"`
	Root      digest.Digest `json:"root"`
	Manifest  digest.Digest `json:"manifest"`
	// Policy, Line and Scope are where the policy asks for signatures, and Asked is the
	// digest of all that it asks, as in [trust.Asks].
	Policy string        `json:"policy"`
	Line   int           `json:"line,omitempty"`
	Scope  string        `json:"scope,omitempty"`
	Asked  digest.Digest `json:"asked"`
	// Signatures are those that met the policy.
	Signatures []trust.Accepted `json:"signatures"`
	// Unlisted says that the registry had no list of referrers then.
	Unlisted bool      `json:"unlisted,omitempty"`
	Time     time.Time `json:"time"`
}

// newRecord makes the record of a verdict.
func newRecord(reference string, root, manifest digest.Digest, v trust.Verdict) Record {
	return Record{
		Reference: reference, Root: root, Manifest: manifest, Policy: v.Policy, Line: v.Line, Scope: v.Scope,
		Asked: v.Digest, Signatures: v.Accepted, Time: time.Now().UTC().Truncate(time.Second),
	}
}

// Where returns the policy, and the line in it, that asked for signatures, for messages.
func (r Record) Where() string {
	if r.Line == 0 {
		return r.Policy
	}
	return fmt.Sprintf("%s line %d", r.Policy, r.Line)
}

const (
	folder = "trust"
	// fresh is how long a record is kept whose image is not in the store, because it may
	// still be pulled.
	fresh = 24 * time.Hour
)

func fileOf(reference string, manifest digest.Digest) string {
	return recordfile.Name(reference, manifest.String())
}

// put durably writes a record into the store whose directory is root, and removes old
// records of images that has does not report.
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

// sweep removes old records of images that has does not report.
func sweep(ctx context.Context, dir *os.File, has func(manifest digest.Digest) bool) error {
	list, _ := list(dir) // records that cannot be read stay
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

// find returns the record of a reference and a manifest; found is false if there is none
// that can be read.
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

// Of returns the records of one image. Those that cannot be read are left out, and the
// error names them.
func Of(root *os.File, manifest digest.Digest) ([]Record, error) {
	all, err := List(root)
	return For(all, manifest), err
}

// For returns those of the records that are of one image.
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

// belongs reports whether a record is in the file of its own name.
func belongs(rec Record, name string) bool {
	return fileOf(rec.Reference, rec.Manifest) == name && rec.Manifest.Validate() == nil
}

// Copy copies the records of the store whose directory is from to the one whose directory
// is to. Those that cannot be read are left out, so that the policy will be asked again.
func Copy(ctx context.Context, from, to *os.File) error {
	all, _ := List(from)
	for _, rec := range all {
		if err := put(ctx, to, rec, func(digest.Digest) bool { return true }); err != nil {
			return err
		}
	}
	return nil
}
