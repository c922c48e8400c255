// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
)

// An index may say arm64 of an image for amd64: --check finds out, --strict
// refuses.
func TestResolveChecksTheConfig(t *testing.T) {
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	image := addPeerImage(r, ocispec.MediaTypeImageManifest, `{"os":"linux","architecture":"amd64"}`)
	image.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm64"}
	r.Add(ocispec.MediaTypeImageIndex, imagetest.JSON(map[string]any{"schemaVersion": 2, "manifests": []any{image}}), "liar")
	tests := []struct {
		flag     string
		code     int
		says     []string
		resolved bool
	}{
		{"--quiet", exitOK, nil, true},
		{"--check", exitOK, []string{"layerctl: warning: ", "amd64", "arm64"}, true},
		{"--strict", exitMalformed, []string{"layerctl: error: ", "amd64", "arm64"}, false},
	}
	for _, test := range tests {
		t.Run(test.flag, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run([]string{"layerctl", "resolve", test.flag, "--platform", "linux/arm64", "--plain-http", r.Host, r.Host + "/image:liar"}, nil, &stdout, &stderr)
			if code != test.code {
				t.Errorf("exit %d, want %d", code, test.code)
			}
			if got := strings.HasSuffix(stdout.String(), "@"+image.Digest.String()+"\n"); got != test.resolved {
				t.Errorf("printed %q", &stdout)
			}
			for _, want := range test.says {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("%q does not say %q", &stderr, want)
				}
			}
			if test.says == nil && stderr.Len() != 0 {
				t.Errorf("said %q", &stderr)
			}
		})
	}
}

// What is no image has no platform and cannot be resolved, but inspected.
func TestCommandsOnAnArtifact(t *testing.T) {
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	config := r.Add("application/vnd.cncf.helm.config.v1+json", []byte(`{}`))
	r.Add(ocispec.MediaTypeImageManifest, imagetest.JSON(map[string]any{"schemaVersion": 2, "config": config, "layers": []any{}}), "chart")
	for command, want := range map[string]int{"inspect": exitOK, "inspect --raw": exitOK, "platforms": exitMalformed, "resolve": exitMalformed, "inspect --config": exitMalformed} {
		t.Run(command, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			args := append([]string{"layerctl"}, strings.Fields(command)...)
			code := run(append(args, "--plain-http", r.Host, r.Host+"/image:chart"), nil, &stdout, &stderr)
			if code != want {
				t.Errorf("exit %d, want %d: %s", code, want, &stderr)
			}
			if want != exitOK && (stdout.Len() != 0 || !strings.Contains(stderr.String(), "Helm chart")) {
				t.Errorf("printed %q and said %q", &stdout, &stderr)
			}
			if command == "inspect" && !strings.Contains(stdout.String(), "Helm chart") {
				t.Errorf("does not name it: %q", &stdout)
			}
		})
	}
}
