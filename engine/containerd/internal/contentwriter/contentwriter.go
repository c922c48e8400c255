// SPDX-License-Identifier: Apache-2.0

// Package contentwriter writes a blob into containerd's content store.
package contentwriter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	content "github.com/containerd/containerd/api/services/content/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
)

// MessageSize is how many bytes of a blob one message carries at most; the engine
// takes 16 MiB.
const MessageSize = 1 << 20

// ErrSlow says that the engine took no message for too long.
var ErrSlow = errkind.New(errkind.Network, "the engine does not answer")

// Blob is a blob to write.
type Blob struct {
	// Ref names the writing: the engine lets no two write under one name at a time.
	Ref        string
	Descriptor ocispec.Descriptor
	Labels     map[string]string
}

// Write writes b from r, which ends with io.EOF after the size that the descriptor
// has. Where the engine has the blob it reads one message of r at most: the error
// is the engine's then. It gives up an engine that takes no message for longer than
// patience, with [ErrSlow]; r may take its time.
func Write(ctx context.Context, client content.ContentClient, b Blob, r io.Reader, patience time.Duration) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// grpc tells of a context's end, and not of its cause.
	defer func() {
		if errors.Is(context.Cause(ctx), ErrSlow) && err != nil {
			err = ErrSlow
		}
	}()
	slow := time.AfterFunc(patience, func() { cancel(ErrSlow) })
	defer slow.Stop()
	stream, err := client.Write(ctx)
	if err != nil {
		return err
	}
	desc := b.Descriptor
	request := &content.WriteContentRequest{Ref: b.Ref, Total: desc.Size, Expected: desc.Digest.String(), Labels: b.Labels}
	buffer := make([]byte, min(MessageSize, max(desc.Size, 1)))
	for offset := int64(0); ; {
		slow.Stop()
		n, err := io.ReadFull(r, buffer[:min(int64(len(buffer)), desc.Size-offset)])
		if err != nil && desc.Size > 0 {
			return fmt.Errorf("read: %w", err)
		}
		request.Action, request.Offset, request.Data = content.WriteAction_WRITE, offset, buffer[:n]
		offset += int64(n)
		if offset == desc.Size {
			if err := readEnd(r); err != nil {
				return err
			}
			request.Action = content.WriteAction_COMMIT
		}
		slow.Reset(patience)
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

// readEnd reads the end of r, where a reader that verifies says whether what was
// read is right.
func readEnd(r io.Reader) error {
	n, err := io.Copy(io.Discard, io.LimitReader(r, 1))
	if err == nil && n > 0 {
		err = errors.New("it is longer than its descriptor says")
	}
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return nil
}
