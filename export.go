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
	// Tar is the root filesystem, as it would be mounted: whiteouts carried
	// out, hardlinks joined, each directory before what is in it and what is in
	// it sorted by name, byte for byte. Owners, modes, times to the nanosecond
	// and extended attributes are the image's, whoever the caller is.
	Tar ExportFormat = "tar"
)

// ExportOptions say how [Client.Export] works. The zero value writes an OCI
// archive of the one image for the client's platform. The client's Jobs, Limits,
// Windows and Memory are for a Tar; Limits and Memory bound a layer that is
// compressed again, too.
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
	// Known is looked at for layers of an archive of one image that are fetched
	// from a registry though they are in it, unpacked, and Again hears before the
	// first how many bytes of blobs those are. Nil looks at none.
	Known *overlaystore.Store
	Again func(bytes int64)
	// Owner is whose everything in a Tar is; nil leaves the image's owners.
	Owner *archive.Owner
	// SourceDate is the time of an archive's entries, zero the epoch. In a Tar
	// times of modification after it become it; zero leaves them.
	SourceDate time.Time
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
