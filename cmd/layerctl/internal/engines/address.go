// SPDX-License-Identifier: Apache-2.0

package engines

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/engine/containerd"
)

// preset is an engine with a name of its own for --into.
type preset struct {
	name, address, namespace string
}

var presets = []preset{
	{"containerd", containerd.DefaultAddress, ""},
	{"k3s", "/run/k3s/containerd/containerd.sock", "k8s.io"},
	{"rke2", "/run/k3s/containerd/containerd.sock", "k8s.io"},
	{"docker", containerd.DefaultAddress, "moby"},
}

// socket returns the engine's socket, by the environment or the preset.
func (p preset) socket() string {
	if p.name == "containerd" {
		return cmp.Or(os.Getenv("CONTAINERD_ADDRESS"), p.address)
	}
	return p.address
}

// engineFlags returns the flags that name an engine.
func engineFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "into", DefaultText: "none", Usage: "give the image to `ENGINE` too: containerd[=SOCKET], k3s, rke2, docker, containers-storage[=DIR]"},
		&cli.StringFlag{Name: "namespace", EnvVars: []string{"CONTAINERD_NAMESPACE"}, DefaultText: "k8s.io where the engine serves Kubernetes, else default", Usage: "use `NAMESPACE` of containerd"},
		&cli.StringFlag{Name: "snapshotter", EnvVars: []string{"CONTAINERD_SNAPSHOTTER"}, DefaultText: containerd.Snapshotter, Usage: "make layers of `NAME`: overlayfs, or erofs of a store of tars"},
	}
}

// GiveFlags returns the flags of a command that gives images to engines.
func GiveFlags() []cli.Flag {
	return append(engineFlags(),
		&cli.BoolFlag{Name: "hand-over", Usage: "leave the image to the engine: it may collect it, and the store forgets it"},
		&cli.StringFlag{Name: "engine-name", DefaultText: "REF where it has a tag", Usage: "call the image `NAME:TAG` in the engine"},
	)
}

// only returns the engine that --into names; "" means all.
func only(c *cli.Context) string {
	word, _ := c.Value("into").(string)
	return word
}

// options returns the engine that into and the environment name.
func options(c *cli.Context, into string) (containerd.Options, error) {
	word, socket, named := strings.Cut(into, "=")
	i := slices.IndexFunc(presets, func(p preset) bool { return p.name == word })
	if i < 0 || named && socket == "" {
		return containerd.Options{}, &args.UsageError{
			Problem: fmt.Sprintf("there is no engine %q", into),
			Advice:  "it is one of containerd, containerd=SOCKET, k3s, rke2, docker, containers-storage, containers-storage=DIR",
		}
	}
	p := presets[i]
	o := containerd.Options{
		Address:     strings.TrimPrefix(cmp.Or(socket, p.socket()), "unix://"),
		Namespace:   cmp.Or(p.namespace, c.String("namespace")),
		Snapshotter: c.String("snapshotter"),
		Logger:      setup.Logger(c),
	}
	return o, nil
}

// connect connects to the engine that into names.
func connect(c *cli.Context, into string) (*containerd.Engine, error) {
	o, err := options(c, into)
	if err != nil {
		return nil, err
	}
	if into == "docker" {
		if err := dockerKeepsImages(c.Context); err != nil {
			return nil, err
		}
	}
	e, err := containerd.Connect(c.Context, o)
	if err != nil {
		return nil, &engineError{err}
	}
	return e, nil
}

// engineError adds a hint to an error about an engine.
type engineError struct{ error }

func (e *engineError) Unwrap() error { return e.error }

// Hint says how the image can be run nevertheless.
func (e *engineError) Hint() string {
	if deep := (*containerd.DepthError)(nil); errors.As(e.error, &deep) {
		return "containerd itself could not start it either; 'layerctl pull' without --into and 'layerctl mount' can"
	}
	return "'layerctl doctor' tells which engines are here; 'layerctl export' makes an archive that any engine loads"
}
