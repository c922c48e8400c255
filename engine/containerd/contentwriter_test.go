// SPDX-License-Identifier: Apache-2.0

package containerd_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	content "github.com/containerd/containerd/api/services/content/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/layerctl/layerctl/engine/containerd/internal/contentwriter"
)

// engine answers each message after wait.
type engine struct {
	content.ContentClient
	grpc.ClientStream
	ctx     context.Context
	wait    time.Duration
	written []byte
}

func (e *engine) Write(ctx context.Context, _ ...grpc.CallOption) (content.Content_WriteClient, error) {
	e.ctx = ctx
	return e, nil
}

func (e *engine) Send(r *content.WriteContentRequest) error {
	e.written = append(e.written, r.Data...)
	return nil
}

func (e *engine) Recv() (*content.WriteContentResponse, error) {
	select {
	case <-time.After(e.wait):
		return &content.WriteContentResponse{}, nil
	case <-e.ctx.Done():
		return nil, status.FromContextError(e.ctx.Err()).Err()
	}
}

func (e *engine) CloseSend() error { return nil }

// slowly waits before each read.
type slowly struct {
	io.Reader
	wait time.Duration
}

func (s slowly) Read(b []byte) (int, error) {
	time.Sleep(s.wait)
	return s.Reader.Read(b)
}

func TestWriteGivesUpAnEngine(t *testing.T) {
	const patience = time.Minute
	for _, c := range []struct {
		name           string
		engine, source time.Duration // how long each message, each read takes
		want           error
	}{
		{"neither waits", 0, 0, nil},
		{"the source takes its time", patience / 2, 10 * patience, nil},
		{"the engine takes none", 2 * patience, 0, contentwriter.ErrSlow},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &engine{wait: c.engine}
				text := strings.Repeat("x", contentwriter.MessageSize+1)
				blob := contentwriter.Blob{Ref: "x", Descriptor: ocispec.Descriptor{Size: int64(len(text))}}
				err := contentwriter.Write(t.Context(), e, blob, slowly{strings.NewReader(text), c.source}, patience)
				if !errors.Is(err, c.want) || err == nil && string(e.written) != text {
					t.Errorf("%v, %d bytes were written", err, len(e.written))
				}
			})
		})
	}
}
