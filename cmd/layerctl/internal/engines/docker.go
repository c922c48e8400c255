// SPDX-License-Identifier: Apache-2.0

package engines

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/layerctl/layerctl/engine/containerd"
	"github.com/layerctl/layerctl/errkind"
)

const dockerSocket = "/var/run/docker.sock"

// dockerKeepsImages fails unless the Docker engine keeps its images in containerd, and
// not in a graph driver of its own.
func dockerKeepsImages(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", dockerSocket)
		},
	}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/info", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return &engineError{errkind.With(errkind.Network, fmt.Errorf("ask docker how it keeps images: %w", err))}
	}
	defer answer.Body.Close()
	var info struct {
		Driver       string
		DriverStatus [][]string
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 4<<20)).Decode(&info); err != nil {
		return &engineError{errkind.With(errkind.Network, fmt.Errorf("ask docker how it keeps images: %w", err))}
	}
	if !slices.ContainsFunc(info.DriverStatus, func(s []string) bool {
		return slices.Equal(s, []string{"driver-type", "io.containerd.snapshotter.v1"})
	}) {
		return &graphDriverError{info.Driver}
	}
	if info.Driver != containerd.Snapshotter {
		return &graphDriverError{info.Driver}
	}
	return nil
}

// graphDriverError says that a Docker engine keeps its images in a graph driver.
type graphDriverError struct{ driver string }

func (e *graphDriverError) Error() string {
	return fmt.Sprintf("docker keeps its images by %.50q, where no other program can put any", e.driver)
}

func (e *graphDriverError) Unwrap() error { return containerd.ErrUnsupported }

// Hint says how the image can be brought there.
func (e *graphDriverError) Hint() string {
	return "'layerctl export --as docker-archive REF | docker load' brings it there; or turn on docker's containerd image store"
}
