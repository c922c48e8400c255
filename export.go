// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"io"
	"time"

	"github.com/layerctl/layerctl/archive"
	"github.com/layerctl/layerctl/internal/export"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/overlaystore"
)

// ExportFormat says what [Client.Export] writes.
type ExportFormat string

// The formats; see package archive for what is in them.
const (
	OCIArchive    ExportFormat = "oci-archive"
	DockerArchive ExportFormat = "docker-archive"
	// Tar is the root filesystem as a mount shows it: whiteouts are applied, hard
	// links joined, and each directory comes before its entries, which are sorted
	// by the bytes of their names. Owners, modes, times to the nanosecond and
	// extended attributes are the image's, whoever the caller is.
	Tar ExportFormat = "tar"
)

// ExportOptions say how [Client.Export] works. The zero value writes an OCI
// archive of the one image for the client's platform. A Tar obeys the client's
// Jobs, Limits, Windows and Memory; compressing a layer again obeys Limits and
// Memory.
type ExportOptions struct {
	// Format is what is written; "" means [OCIArchive].
	Format ExportFormat
	// Name is the image's name in the archive, as "example.com/app:1"; ""
	// means the reference's own, where that names a tag in a registry.
	Name string
	// AllPlatforms writes an index with all its images instead of one image; only
	// into an OCI archive.
	AllPlatforms bool
	// Store is a store whose layers need not be fetched; nil is none. A Tar takes
	// layers from Store and fetches the others into a directory in $TMPDIR. An
	// archive of one image compresses layers of Store again where the cache does
	// not have their blobs; that gives the layers, the config and the manifest new
	// digests, which are always the same. Nothing is put into Store.
	Store *overlaystore.Store
	// Known is a store from which nothing is taken. Where an archive of one image
	// fetches layers from a registry that Known has unpacked, Again is called
	// before the first of them with the bytes of their blobs. nil for neither.
	Known *overlaystore.Store
	Again func(bytes int64)
	// Owner owns everything in a Tar; nil keeps the image's owners.
	Owner *archive.Owner
	// SourceDate is the time of an archive's entries; zero means the epoch. In a
	// Tar it replaces later modification times; zero replaces none.
	SourceDate time.Time
}

// Exported is what was written.
type Exported struct {
	Resolution
	// Warnings are what a user should know of the image, one line each.
	Warnings []string
}

// Export writes the image that ref means as one tar file to a stream. Blobs are
// verified while they pass from the cache or the registry into the stream. Only a
// Tar's fetched layers and layers that are compressed again lie on the disk
// meanwhile. The same image and options give the same bytes.
//
// After an error the bytes that were written are useless; they lack the end of a tar.
func (c *Client) Export(ctx context.Context, ref string, to io.Writer, o ExportOptions) (Exported, error) {
	var done export.Done
	err := c.with(ctx, ref, func(s *source.Source) (err error) {
		done, err = export.Write(ctx, to, s, c.fetcher(s), export.Options{
			Format: export.Format(o.Format), Name: o.Name, AllPlatforms: o.AllPlatforms, Store: o.Store, Known: o.Known, Again: o.Again,
			Admit: func(ctx context.Context, r source.Resolution) error { return c.judge().Admit(ctx, s, r, o.Store) },
			Owner: o.Owner, SourceDate: o.SourceDate, Strict: c.options.Strict, Logger: c.log,
			Jobs: c.options.Jobs, Limits: c.options.Limits, Windows: c.options.Windows, Memory: c.options.Memory,
		})
		return err
	})
	if err != nil {
		return Exported{}, err
	}
	return Exported{Resolution(done.Resolution), done.Warnings}, nil
}
