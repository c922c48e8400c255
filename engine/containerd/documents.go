// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"

	content "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/layerctl/layerctl/engine/containerd/internal/contentwriter"
	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
	"github.com/layerctl/layerctl/internal/durable"
)

// documents writes config, manifest and index, each with labels that tell the
// engine's collector what the document needs. Of the layers' blobs they name those
// that were written.
func (g *giving) documents(ctx context.Context) error {
	config := map[string]string{}
	if chains := chainIDs(g.image.Layers); len(chains) > 0 {
		config["containerd.io/gc.ref.snapshot."+g.at.Snapshotter] = chains[len(chains)-1].String()
	}
	if err := g.write(ctx, g.image.Image.Config, g.image.ConfigBytes, config); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	labels := map[string]string{"containerd.io/gc.ref.content.config": g.image.Image.Config.String()}
	for i, l := range g.written {
		labels[fmt.Sprintf("containerd.io/gc.ref.content.l.%d", i)] = l.String()
	}
	err := g.write(ctx, g.image.Image.Manifest, g.image.ManifestBytes, g.origin(labels))
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	if g.image.Root.Digest == g.image.Image.Manifest {
		return nil
	}
	position, err := entryOf(g.image.RootBytes, g.image.Image.Manifest)
	if err == nil {
		err = g.write(ctx, g.image.Root.Digest, g.image.RootBytes, g.origin(map[string]string{
			fmt.Sprintf("containerd.io/gc.ref.content.m.%d", position): g.image.Image.Manifest.String(),
		}))
	}
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	return nil
}

// settle makes the names of the documents and of the compressed layers durable in
// the engine's content store: before 2.2 the engine syncs the bytes of a blob, but
// not the directory that it is in (containerd#12302).
func (g *giving) settle(ctx context.Context) error {
	if g.Engine.blobs == "" {
		return nil
	}
	done := map[digest.Algorithm]bool{}
	for _, d := range append(g.written, g.image.Image.Config, g.image.Image.Manifest, g.image.Root.Digest) {
		if done[d.Algorithm()] {
			continue
		}
		done[d.Algorithm()] = true
		dir, err := g.openDir(path.Join(g.Engine.blobs, "blobs", d.Algorithm().String()))
		if err != nil {
			return err
		}
		if err := errors.Join(durable.SyncDir(ctx, dir), dir.Close()); err != nil {
			return err
		}
	}
	return nil
}

// origin adds to labels the repository from which the image came.
func (g *giving) origin(labels map[string]string) map[string]string {
	if g.image.OriginHost != "" {
		labels["containerd.io/distribution.source."+g.image.OriginHost] = g.image.OriginRepository
	}
	return labels
}

// entryOf returns the position of a manifest in an index.
func entryOf(index []byte, manifest digest.Digest) (int, error) {
	var list ocispec.Index
	if err := json.Unmarshal(index, &list); err != nil {
		return 0, err
	}
	for i, m := range list.Manifests {
		if m.Digest == manifest {
			return i, nil
		}
	}
	return 0, fmt.Errorf("it does not name the manifest %s", manifest)
}

// write writes one document into the engine, unless the engine has it, and adds
// labels to it.
func (g *giving) write(ctx context.Context, d digest.Digest, b []byte, labels map[string]string) error {
	if got := d.Algorithm().FromBytes(b); got != d {
		return fmt.Errorf("the bytes of %s hash to %s", d, got)
	}
	return g.writeFrom(ctx, ocispec.Descriptor{Digest: d, Size: int64(len(b))}, bytes.NewReader(b), labels)
}

// writeFrom is write for a blob that is read from r.
func (g *giving) writeFrom(ctx context.Context, desc ocispec.Descriptor, r io.Reader, labels map[string]string) error {
	d := desc.Digest
	blob := contentwriter.Blob{Ref: "layerctl-" + g.lease + "-" + d.String(), Descriptor: desc, Labels: labels}
	err := contentwriter.Write(g.in(ctx, g.lease), g.content, blob, r, patience)
	if err != nil && !failure.IsExists(err) {
		return failure.Explain(err)
	}
	if err == nil {
		return nil
	}
	// A blob that was written is under the lease already; put this one there, too.
	if err := g.leases.Keep(ctx, g.lease, "content", d.String()); err != nil {
		return err
	}
	var paths []string
	for key := range labels {
		paths = append(paths, "labels."+key)
	}
	if len(paths) == 0 {
		return nil
	}
	_, err = g.content.Update(g.in(ctx, g.lease), &content.UpdateRequest{
		Info: &content.Info{Digest: d.String(), Labels: labels}, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths},
	})
	if err != nil {
		return failure.Explain(err)
	}
	return nil
}

// blobs writes the compressed layers, if they are wanted. Of a blob that the engine
// has it reads one message at most.
func (g *giving) blobs(ctx context.Context) error {
	if g.image.Blobs == nil {
		return nil
	}
	diffIDs := g.image.Layers
	return g.image.Blobs(ctx, func(desc ocispec.Descriptor, r io.Reader) error {
		labels := map[string]string{}
		if i := len(g.written); i < len(diffIDs) {
			labels["containerd.io/uncompressed"] = diffIDs[i].String()
		}
		g.written = append(g.written, desc.Digest)
		return g.writeFrom(ctx, desc, r, g.origin(labels))
	})
}
