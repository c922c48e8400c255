// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

// Format says what is written.
type Format string

// The formats; package archive describes them.
const (
	OCIArchive    Format = "oci-archive"
	DockerArchive Format = "docker-archive"
	// Tar is the root filesystem, as it would be mounted.
	Tar Format = "tar"
)

// Options say what is written. The zero value writes an OCI archive of the one
// image that is chosen.
type Options struct {
	Format Format
	// Name is the image's name in the archive; "" means the reference's own.
	Name string
	// AllPlatforms writes every image of an index, and the index itself.
	AllPlatforms bool
	// Store has layers that need not be fetched: a Tar is made of their files, and
	// an archive gets them compressed again where the cache does not have their
	// blobs. nil means none.
	Store *overlaystore.Store
	// Known may have layers of an archive unpacked whose blobs must be fetched
	// nevertheless. Again is called with the sum of their sizes, in bytes, before the
	// first is fetched. If either is nil, nothing is called.
	Known *overlaystore.Store
	Again func(bytes int64)
	// Admit may refuse an image before any layer is fetched; nil admits all.
	Admit func(context.Context, source.Resolution) error
	// Owner owns everything in a Tar; nil leaves the image's owners.
	Owner *archive.Owner
	// SourceDate is the time of an archive's entries. In a Tar no time is later.
	SourceDate time.Time
	// Jobs, Limits, Windows and Memory are for a Tar; see [flatten.Options].
	// Limits and Memory bound a layer that is compressed again, too.
	Jobs    int
	Limits  unpack.Limits
	Windows *unpack.Windows
	Memory  int64
	// Strict makes an error of each fault in a layer that is tolerated otherwise.
	Strict bool
	Logger *slog.Logger
}

// Done says what was written.
type Done struct {
	Resolution source.Resolution
	// Warnings are sentences for a person, a line each.
	Warnings []string
}

// Write writes the image, or the index, that the source names. After an error the
// stream is of no use, and does not end as a tar ends.
func Write(ctx context.Context, to io.Writer, s *source.Source, f *fetch.Fetcher, o Options) (Done, error) {
	e := &exporter{source: s, fetch: f, options: o, made: map[digest.Digest]*os.File{}}
	err := errors.Join(e.export(ctx, to), e.Close())
	return e.done, err
}

// exporter is one export under way.
type exporter struct {
	source  *source.Source
	fetch   *fetch.Fetcher
	options Options
	layers  map[digest.Digest]fetch.Layer // by the blob's digest, for progress
	made    map[digest.Digest]*os.File    // layers that were compressed again
	found   archive.Contents
	done    Done

	documentBytes int64 // of all documents in found
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

// names returns the name and the tag that the archive gives the image.
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
	o.Tag = ref.Tag() // also the tag of a reference into a layout
	if ref.Transport() == registry.Docker && ref.Tag() != "" {
		o.Name = ref.Tagged().String()
	} else {
		e.warn("the archive gives the image no name by which an engine would know it")
	}
	return o, nil
}
