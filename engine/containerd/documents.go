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
	"time"

	content "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
	"github.com/layerctl/layerctl/internal/durable"
)

// documents writes config, manifest and index, each with the labels by which
// the engine's collector knows what it needs: the layers' blobs are among that
// only where they were written, too.
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

// settle makes it durable that the engine has the documents and the compressed
// layers: before 2.2 it syncs what is in a blob, and not that there is one
// (containerd#12302).
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

// origin adds where the image came from.
func (g *giving) origin(labels map[string]string) map[string]string {
	if g.image.OriginHost != "" {
		labels["containerd.io/distribution.source."+g.image.OriginHost] = g.image.OriginRepository
	}
	return labels
}

// entryOf is the place of a manifest in an index.
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

// piece is how much of a document one message carries; the engine takes 16 MiB.
const piece = 1 << 20

// write brings one document into the engine, unless it is there, and adds its
// labels.
func (g *giving) write(ctx context.Context, d digest.Digest, b []byte, labels map[string]string) error {
	if got := d.Algorithm().FromBytes(b); got != d {
		return fmt.Errorf("the bytes of %s hash to %s", d, got)
	}
	return g.writeFrom(ctx, ocispec.Descriptor{Digest: d, Size: int64(len(b))}, bytes.NewReader(b), labels)
}

// writeFrom is write of what is read.
func (g *giving) writeFrom(ctx context.Context, desc ocispec.Descriptor, r io.Reader, labels map[string]string) error {
	d := desc.Digest
	err := g.send(ctx, desc, r, labels)
	if err != nil && !failure.IsExists(err) {
		return failure.Explain(err)
	}
	if err == nil {
		return nil
	}
	// The engine's writer has taken it under the lease.
	if err := g.keep(ctx, "content", d.String()); err != nil {
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

// blobs writes the compressed layers where they are wanted. A blob that the
// engine has is not read to its end.
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

// send writes one blob in pieces. An engine that takes none for long is given
// up.
func (g *giving) send(ctx context.Context, desc ocispec.Descriptor, r io.Reader, labels map[string]string) error {
	ctx, cancel := context.WithCancelCause(g.in(ctx, g.lease))
	defer cancel(nil)
	slow := time.AfterFunc(patience, func() { cancel(context.DeadlineExceeded) })
	defer slow.Stop()
	stream, err := g.content.Write(ctx)
	if err != nil {
		return err
	}
	request := &content.WriteContentRequest{
		Ref: "layerctl-" + g.lease + "-" + desc.Digest.String(), Total: desc.Size, Expected: desc.Digest.String(), Labels: labels,
	}
	buffer := make([]byte, min(piece, max(desc.Size, 1)))
	for offset := int64(0); ; {
		n, err := io.ReadFull(r, buffer[:min(int64(len(buffer)), desc.Size-offset)])
		if err != nil && desc.Size > 0 {
			return fmt.Errorf("read: %w", err)
		}
		slow.Reset(patience)
		request.Action, request.Offset, request.Data = content.WriteAction_WRITE, offset, buffer[:n]
		offset += int64(n)
		if offset == desc.Size {
			if err := verdict(r); err != nil {
				return err
			}
			request.Action = content.WriteAction_COMMIT
		}
		if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if _, err := stream.Recv(); err != nil {
			return err
		}
		if offset == desc.Size {
			return stream.CloseSend()
		}
	}
}

// verdict reads the end: a reader that verifies says there whether it was right.
func verdict(r io.Reader) error {
	n, err := io.Copy(io.Discard, io.LimitReader(r, 1))
	if err == nil && n > 0 {
		err = errors.New("it is longer than its descriptor says")
	}
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return nil
}
