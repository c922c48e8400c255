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

// The formats; see package archive for what is in them.
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
	// AllPlatforms writes all of an index.
	AllPlatforms bool
	// Store has layers that need not be fetched, and those that are compressed
	// again; nil for none.
	Store *overlaystore.Store
	// Known is looked at for layers that are fetched though it has them, and
	// Again hears how many bytes those are, before the first; nil for none.
	Known *overlaystore.Store
	Again func(bytes int64)
	// Admit lets an image in, before a layer is asked for; nil lets all in.
	Admit func(context.Context, source.Resolution) error
	// Owner is whose everything in a Tar is; nil leaves the image's owners.
	Owner *archive.Owner
	// SourceDate is the time of an archive's entries, and the latest one in a
	// Tar.
	SourceDate time.Time
	// Jobs, Limits, Windows and Memory are for a Tar; see [flatten.Options].
	// Limits and Memory bound a layer that is compressed again, too.
	Jobs    int
	Limits  unpack.Limits
	Windows *unpack.Windows
	Memory  int64
	// Strict turns every leniency into an error.
	Strict bool
	Logger *slog.Logger
}

// Done is what was written.
type Done struct {
	Resolution source.Resolution
	// Warnings are what a person should know of it, a line each.
	Warnings []string
}

// Write writes what the source names to a stream. After an error what was
// written is of no use, and ends without a tar's end.
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
	held    int64 // bytes of documents in found
	done    Done
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
		o.Name = ref.Tagged().String()
	} else {
		e.warn("the archive gives the image no name by which an engine would know it")
	}
	return o, nil
}
