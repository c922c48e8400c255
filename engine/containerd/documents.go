// SPDX-License-Identifier: Apache-2.0

package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	content "github.com/containerd/containerd/api/services/content/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// documents writes config, manifest and index, each with the labels by which
// the engine's collector knows what it needs: the layers' blobs are not among
// that, as in an engine that discards them once they are unpacked.
func (g *giving) documents(ctx context.Context) error {
	config := map[string]string{}
	if chains := chainIDs(g.image.Layers); len(chains) > 0 {
		config["containerd.io/gc.ref.snapshot."+Snapshotter] = chains[len(chains)-1].String()
	}
	if err := g.write(ctx, g.image.Image.Config, g.image.ConfigBytes, config); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	err := g.write(ctx, g.image.Image.Manifest, g.image.ManifestBytes, g.origin(map[string]string{
		"containerd.io/gc.ref.content.config": g.image.Image.Config.String(),
	}))
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
	err := g.send(ctx, d, b, labels)
	if err != nil && !isExists(err) {
		return explain(err)
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
		return explain(err)
	}
	return nil
}

func (g *giving) send(ctx context.Context, d digest.Digest, b []byte, labels map[string]string) error {
	ctx, cancel := context.WithTimeout(g.in(ctx, g.lease), patience)
	defer cancel()
	stream, err := g.content.Write(ctx)
	if err != nil {
		return err
	}
	request := &content.WriteContentRequest{
		Ref: "layerctl-" + g.lease + "-" + d.String(), Total: int64(len(b)), Expected: d.String(), Labels: labels,
	}
	for offset := 0; ; offset += piece {
		end := min(offset+piece, len(b))
		request.Action, request.Offset, request.Data = content.WriteAction_WRITE, int64(offset), b[offset:end]
		if end == len(b) {
			request.Action = content.WriteAction_COMMIT
		}
		if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if _, err := stream.Recv(); err != nil {
			return err
		}
		if end == len(b) {
			return stream.CloseSend()
		}
	}
}
