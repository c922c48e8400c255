// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"encoding/json"
	"os"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// Whatever a registry sends becomes JSON or an error, never a panic.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"alpine-3.20/index.json", "alpine-3.20/manifest-arm-v7.json", "traefik-2018/docker-manifest-inspect.json"} {
		raw, err := os.ReadFile("../testdata/manifests/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`))
	r := registrytest.NewRegistry()
	f.Cleanup(r.Close)
	client := registry.New(registry.Options{PlainHTTP: []string{r.Host}, Retries: -1})
	ref, err := registry.Parse(r.Host + "/image:fuzz")
	if err != nil {
		f.Fatal(err)
	}
	wanted := platform.Want(ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r.Add("application/json", raw, "fuzz")
		source, err := client.Open(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		found, err := Read(t.Context(), source, wanted, Options{Detail: Configs})
		if err != nil {
			return
		}
		if _, err := json.Marshal(found); err != nil {
			t.Error(err)
		}
	})
}
