// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"errors"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestAgreeMediaType(t *testing.T) {
	const index, manifest = ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest
	for _, c := range []struct {
		name, claimed, own, want string
		wrong                    bool
	}{
		{name: "nothing", want: ""},
		{name: "the document alone", own: index, want: index},
		{name: "the header alone", claimed: manifest, want: manifest},
		{name: "an object store", claimed: "binary/octet-stream", own: manifest, want: manifest},
		{name: "a file server", claimed: "text/plain; charset=utf-8", own: index, want: index},
		{name: "a web server", claimed: "text/html", own: index, want: index},
		{name: "JSON", claimed: "application/json;charset=utf-8", own: index, want: index},
		{name: "no media type", claimed: "none", own: index, want: index},
		{name: "an empty parameter", claimed: manifest + ";", own: manifest, want: manifest},
		{name: "in capitals", claimed: "Application/Vnd.OCI.Image.Manifest.v1+json", own: manifest, want: manifest},
		{name: "an OCI index as Docker's list", claimed: DockerManifestList, own: index, want: index},
		{name: "Docker's list as an OCI index", claimed: index, own: DockerManifestList, want: DockerManifestList},
		{name: "an OCI manifest as Docker's", claimed: DockerManifest, own: manifest, want: manifest},
		{name: "Docker's manifest as OCI's", claimed: manifest, own: DockerManifest, want: DockerManifest},
		{name: "a manifest as an index", claimed: index, own: manifest, wrong: true},
		{name: "an index as a manifest", claimed: DockerManifest, own: index, wrong: true},
		{name: "schema 1", claimed: dockerSchema1Signed, own: manifest, wrong: true},
		{name: "something else", claimed: "application/vnd.cncf.helm.config.v1+json", own: manifest, wrong: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := AgreeMediaType(c.claimed, c.own)
			if got != c.want || errors.Is(err, ErrMalformed) != c.wrong {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}
