// SPDX-License-Identifier: Apache-2.0

// Package layerrecord makes of the result of an unpacking what a store keeps of
// the layer: packages unpack and overlaystore do not know each other.
package layerrecord

import (
	"io"

	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// Of is the record of a layer that was fetched as blobs.
func Of(r unpack.Result, counts layer.Counts, blobs []layer.Blob) overlaystore.LayerRecord {
	rec := overlaystore.LayerRecord{
		Counts:   counts,
		Size:     r.Size,
		DiskSize: r.Content,
		Blobs:    blobs,
		Facts:    r.Facts,
	}
	for _, n := range r.Notes {
		if rec.Notes == nil {
			rec.Notes = map[string]int64{}
		}
		rec.Notes[n.Key] = n.Count
	}
	return rec
}

// OfTar are the options for a layer that is kept as its tar, by those with which it
// would be unpacked. What is read from tar is the beginning of it, to go on behind.
func OfTar(o unpack.Options, tar io.ReadWriter) unpack.ReadOptions {
	return unpack.ReadOptions{
		Strict: o.Strict, Limits: o.Limits, Windows: o.Windows, Paths: o.Paths, Serial: o.Serial, Record: o.Record, Logger: o.Logger,
		Tar: tar, Begun: tar, Checkpoints: o.Checkpoints,
	}
}

// Counting counts what a layer brings and passes the entries on.
func Counting(c *layer.Counts, next func(layer.Entry) error) func(layer.Entry) error {
	return func(e layer.Entry) error {
		switch e.Type {
		case layer.Regular:
			c.Regular++
		case layer.Directory:
			c.Directories++
		case layer.Symlink:
			c.Symlinks++
		case layer.Hardlink:
			c.Hardlinks++
		case layer.CharDevice, layer.BlockDevice, layer.FIFO:
			c.Devices++
		case layer.Whiteout:
			c.Whiteouts++
		}
		if e.Opaque != layer.Transparent {
			c.Opaque++
		}
		return next(e)
	}
}
