// SPDX-License-Identifier: Apache-2.0

// Package containers lists the containers that containerd knows.
package containers

import (
	"context"
	"errors"
	"fmt"
	"io"

	api "github.com/containerd/containerd/api/services/containers/v1"
	"google.golang.org/grpc"

	"github.com/layerctl/layerctl/engine/containerd/internal/failure"
)

// most bounds the memory for the list; a node has some hundreds.
const most = 100_000

// List lists all containers of the namespace that ctx names, running or not. They come
// one a message, so that no message is too long.
func List(ctx context.Context, conn grpc.ClientConnInterface) (list []*api.Container, err error) {
	stream, err := api.NewContainersClient(conn).ListStream(ctx, &api.ListContainersRequest{})
	if err != nil {
		return nil, failure.Explain(err)
	}
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, failure.Explain(err)
		}
		if len(list) == most {
			return nil, fmt.Errorf("it has more than %d containers", most)
		}
		list = append(list, message.Container)
	}
}
