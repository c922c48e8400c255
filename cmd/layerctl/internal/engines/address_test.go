// SPDX-License-Identifier: Apache-2.0

package engines

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/engine/containerd"
)

// TestAddresses: words, sockets and the environment say which engine is meant.
func TestAddresses(t *testing.T) {
	const own, k3s = containerd.DefaultAddress, "/run/k3s/containerd/containerd.sock"
	for _, c := range []struct {
		name        string
		environment map[string]string
		args        []string
		want        string // address, namespace, snapshotter; "" is no such engine
	}{
		{"containerd", nil, []string{"--into", "containerd"}, own + "  "},
		{"a socket", nil, []string{"--into", "containerd=/c.sock"}, "/c.sock  "},
		{"a socket as a URL", nil, []string{"--into", "containerd=unix:///c.sock"}, "/c.sock  "},
		{"as ctr reads it", map[string]string{"CONTAINERD_ADDRESS": "/e.sock", "CONTAINERD_NAMESPACE": "ns", "CONTAINERD_SNAPSHOTTER": "zfs"},
			[]string{"--into", "containerd"}, "/e.sock ns zfs"},
		{"flags before the environment", map[string]string{"CONTAINERD_ADDRESS": "/e.sock", "CONTAINERD_NAMESPACE": "ns", "CONTAINERD_SNAPSHOTTER": "zfs"},
			[]string{"--into", "containerd=/c.sock", "--namespace", "n", "--snapshotter", "overlayfs"}, "/c.sock n overlayfs"},
		{"k3s", map[string]string{"CONTAINERD_ADDRESS": "/e.sock", "CONTAINERD_NAMESPACE": "ns"}, []string{"--into", "k3s"}, k3s + " k8s.io "},
		{"rke2", nil, []string{"--into", "rke2"}, k3s + " k8s.io "},
		{"k3s elsewhere", nil, []string{"--into", "k3s=/c.sock"}, "/c.sock k8s.io "},
		{"docker", map[string]string{"CONTAINERD_ADDRESS": "/e.sock"}, []string{"--into", "docker"}, own + " moby "},
		{"nothing after the sign", nil, []string{"--into", "containerd="}, ""},
		{"another word", nil, []string{"--into", "crio"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, key := range []string{"CONTAINERD_ADDRESS", "CONTAINERD_NAMESPACE", "CONTAINERD_SNAPSHOTTER"} {
				t.Setenv(key, c.environment[key])
			}
			got := ""
			app := cli.App{Flags: engineFlags(), Action: func(ctx *cli.Context) error {
				o, err := options(ctx, ctx.String("into"))
				if err == nil {
					got = o.Address + " " + o.Namespace + " " + o.Snapshotter
				}
				return nil
			}}
			if err := app.Run(append([]string{"layerctl"}, c.args...)); err != nil || got != c.want {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// TestSurvey: the engine that the environment names is looked for too.
func TestSurvey(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "c.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			c.Close() // it is no engine
		}
	}()
	t.Setenv("CONTAINERD_ADDRESS", "unix://"+socket)
	for _, found := range Survey(t.Context()) {
		if found.Name == "containerd" && found.Value == socket && !found.OK {
			return
		}
	}
	t.Errorf("found %+v", Survey(t.Context()))
}
