// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/archive"
	"github.com/layerctl/layerctl/internal/fetch"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/unpack"
)

// ExportFormat says what [Client.Export] writes.
type ExportFormat string

// The formats; see package archive for what is in them.
const (
	OCIArchive    ExportFormat = "oci-archive"
	DockerArchive ExportFormat = "docker-archive"
	// Tar is the root filesystem, as it would be mounted: whiteouts carried
	// out, hardlinks joined, each directory before what is in it and what is in
	// it sorted by name, byte for byte. Owners, modes, times to the nanosecond
	// and extended attributes are the image's, whoever the caller is.
	Tar ExportFormat = "tar"
)

// ExportOptions say how [Client.Export] works. The zero value writes an OCI
// archive of the one image for the client's platform.
type ExportOptions struct {
	// Format is what is written; "" means [OCIArchive].
	Format ExportFormat
	// Name is the image's name in the archive, as "example.com/app:1"; ""
	// means the reference's own, where that names a tag in a registry.
	Name string
	// AllPlatforms writes all of an index, its own bytes included, instead of
	// one image; only into an OCI archive.
	AllPlatforms bool
	// Store has layers of a Tar that need not be fetched; the others are, into
	// a directory in $TMPDIR. For an archive of one image it has the layers that
	// the cache has no blob of: instead of fetching them they are compressed
	// again, which gives them, the config and the manifest other digests, always
	// the same ones. Nothing is put into it; nil is none.
	Store *overlaystore.Store
	// Owner is whose everything in a Tar is; nil leaves the image's owners.
	Owner *archive.Owner
	// SourceDate is the time of an archive's entries, zero the epoch. In a Tar
	// times of modification after it become it; zero leaves them.
	SourceDate time.Time
	// Jobs, Limits, Windows and Memory are those of [UnpackOptions], for a Tar.
	Jobs    int
	Limits  unpack.Limits
	Windows *unpack.Windows
	Memory  int64
	// Progress is as in [Options]; layers come one after the other.
	Progress func(Event)
}

// Exported is what was written.
type Exported struct {
	Resolution
	// Warnings are what a person should know of it, a line each.
	Warnings []string
}

// Export writes the image that ref means as one tar file to a stream. The
// blobs are verified while they pass from the cache or the registry into it,
// and nothing is kept on the disk, save what is compressed again. The same
// image and options give the same bytes.
//
// After an error what was written is of no use, and ends without a tar's end.
func (c *Client) Export(ctx context.Context, ref string, to io.Writer, o ExportOptions) (Exported, error) {
	var done Exported
	err := c.with(ctx, ref, func(s *source.Source) error {
		e := &exporter{client: c, source: s, fetch: c.fetcher(s, o.Progress), options: o, made: map[digest.Digest]*os.File{}}
		err := e.export(ctx, to)
		done = e.done
		return errors.Join(err, e.Close())
	})
	if err != nil {
		return Exported{}, err
	}
	return done, nil
}

// exporter is one export under way.
type exporter struct {
	client  *Client
	source  *source.Source
	fetch   *fetch.Fetcher
	options ExportOptions
	layers  map[digest.Digest]fetch.Layer // by the blob's digest, for progress
	made    map[digest.Digest]*os.File    // layers that were compressed again
	found   archive.Contents
	held    int64 // bytes of documents in found
	done    Exported
}

// Close implements io.Closer.
func (e *exporter) Close() error {
	var errs []error
	for _, f := range e.made {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

func (e *exporter) export(ctx context.Context, to io.Writer) error {
	if e.options.Format == Tar {
		return e.tar(ctx, to)
	}
	name, err := e.names()
	if err != nil {
		return err
	}
	contents, err := e.contents(ctx)
	if err != nil {
		return err
	}
	e.number(contents)
	if e.options.Format == DockerArchive {
		err = archive.WriteDocker(ctx, to, e, contents.Images[0], name)
	} else {
		err = archive.WriteOCI(ctx, to, e, contents, name)
	}
	if err != nil {
		return fmt.Errorf("export %s: %w", e.source.Reference(), err)
	}
	return nil
}

func (e *exporter) warn(format string, args ...any) {
	e.done.Warnings = append(e.done.Warnings, fmt.Sprintf(format, args...))
}

// names are what the archive calls the image.
func (e *exporter) names() (archive.Options, error) {
	o := archive.Options{ModTime: e.options.SourceDate}
	ref := e.source.Reference()
	if e.options.Name != "" {
		named, err := registry.Parse(e.options.Name)
		if err == nil && (named.Transport() != registry.Docker || named.Tag() == "") {
			err = fmt.Errorf("%w %q: an archive's image has a name and a tag", registry.ErrReference, e.options.Name)
		}
		if err != nil {
			return o, err
		}
		ref = named
	}
	o.Tag = ref.Tag() // a layout's tag is the tag of what is made of it
	if ref.Transport() == registry.Docker && ref.Tag() != "" {
		o.Name = ref.String()
	} else {
		e.warn("the archive gives the image no name by which an engine would know it")
	}
	return o, nil
}
