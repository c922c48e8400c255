// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
)

// TestK3sEndpoints has the cases of k3s's own tests.
func TestK3sEndpoints(t *testing.T) {
	const hub = "https://registry-1.docker.io/v2"
	for name, c := range map[string]struct {
		mirrors string
		want    []string
	}{
		"none":                          {"docker.io:", []string{hub}},
		"the origin itself":             {"docker.io: {endpoint: [docker.io]}", []string{hub}},
		"a path that ends in v2":        {"docker.io: {endpoint: ['https://registry.example.com/prefix/v2']}", []string{"https://registry.example.com/prefix/v2", hub}},
		"a path without v2":             {"docker.io: {endpoint: ['https://registry.example.com/project/registry']}", []string{"https://registry.example.com/project/registry", hub}},
		"a path without a scheme":       {"docker.io: {endpoint: [registry.example.com/prefix/v2]}", []string{"https://registry.example.com/prefix/v2", hub}},
		"a host":                        {"docker.io: {endpoint: [registry.example.com]}", []string{"https://registry.example.com/v2", hub}},
		"a host and a port":             {"docker.io: {endpoint: ['registry.example.com:443']}", []string{"https://registry.example.com:443/v2", hub}},
		"an address":                    {"docker.io: {endpoint: [1.2.3.4]}", []string{"https://1.2.3.4/v2", hub}},
		"twice in different forms":      {"docker.io: {endpoint: [registry.example.com, 'https://registry.example.com', 'https://registry.example.com/v2']}", []string{"https://registry.example.com/v2", hub}},
		"localhost and a port":          {"docker.io: {endpoint: ['localhost:5000']}", []string{"http://localhost:5000/v2", hub}},
		"localhost and a scheme":        {"docker.io: {endpoint: ['https://localhost:5000']}", []string{"https://localhost:5000/v2", hub}},
		"loopback and a port":           {"docker.io: {endpoint: ['127.0.0.1:5000']}", []string{"http://127.0.0.1:5000/v2", hub}},
		"localhost and https's port":    {"docker.io: {endpoint: ['localhost:443']}", []string{"https://localhost:443/v2", hub}},
		"the origin last":               {"docker.io: {endpoint: [registry.example.com, registry.example.org, docker.io]}", []string{"https://registry.example.com/v2", "https://registry.example.org/v2", hub}},
		"the origin first":              {"docker.io: {endpoint: [docker.io, registry.example.com]}", []string{hub, "https://registry.example.com/v2", hub}},
		"of every host":                 {"'*': {endpoint: ['https://registry.example.com/v2']}", []string{"https://registry.example.com/v2", hub}},
		"own before those of every one": {"{'*': {endpoint: [a.test]}, docker.io: {endpoint: [b.test]}}", []string{"https://b.test/v2", hub}},
	} {
		file := filepath.Join(write(t, map[string]string{"r.yaml": "mirrors:\n  " + c.mirrors + "\n"}), "r.yaml")
		p := lookup(t, Files{K3s: file}, "docker.io", "library/a")
		var got []string
		for _, e := range append(p.Mirrors, p.Origin) {
			got = append(got, e.URL)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: asks %q, want %q", name, got, c.want)
		}
	}
}

func TestK3sConfigsOfEveryHost(t *testing.T) {
	file := filepath.Join(write(t, map[string]string{"r.yaml": `
mirrors:
  reg.test: {endpoint: ["http://mirror.test/v2", "http://own.test/v2"]}
configs:
  "*": {auth: {username: any, password: body}, tls: {ca_file: /any, insecure_skip_verify: true}}
  own.test: {auth: {username: own, password: one}}
  registry-1.docker.io: {auth: {username: hub, password: x}}
`}), "r.yaml")
	login := func(e Endpoint) string { return fmt.Sprint(e.Username, e.CA, e.SkipVerify) }
	p := lookup(t, Files{K3s: file}, "reg.test", "a")
	got := []string{login(p.Mirrors[0]), login(p.Mirrors[1]), login(p.Origin)}
	if want := []string{"any[/any] true", "own[] false", "any[/any] true"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for host, want := range map[string]string{"else.test": "any[/any] true", "own.test": "own[] false", "docker.io": "hub[] false"} {
		if got := login(lookup(t, Files{K3s: file}, host, "library/a").Origin); got != want {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
	}
}
