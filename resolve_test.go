// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
)

// What a reference names is known from the document: a registry may serve it
// as any JSON, and neither OCI form has to say what it is.
func TestResolveGoesByTheDocument(t *testing.T) {
	for _, served := range []string{ocispec.MediaTypeImageIndex, "application/json", "text/plain; charset=utf-8", "application/octet-stream", ""} {
		t.Run(served, func(t *testing.T) {
			s := newInspected(t, Options{})
			arm := s.image(linuxARMv7)
			s.serve(s.layout.Index(arm))
			s.Add(served, imagetest.JSON(map[string]any{"schemaVersion": 2, "manifests": []any{s.image(linuxAMD64), arm}}), "odd")
			r, err := s.client.Resolve(t.Context(), s.Host+"/image:odd")
			if err != nil || r.Manifest.Digest != arm.Digest {
				t.Errorf("got %s, %v, want %s", r.Manifest.Digest, err, arm.Digest)
			}
		})
	}
	t.Run("a layout", func(t *testing.T) {
		s := newInspected(t, Options{})
		arm := s.image(linuxARMv7)
		s.layout.Tag(arm, "latest")
		index := s.layout.Blob("", imagetest.JSON(map[string]any{"schemaVersion": 2, "manifests": []any{arm}}))
		r, err := s.client.Resolve(t.Context(), "oci:"+s.layout.Dir+"@"+index.Digest.String())
		if err != nil || r.Manifest.Digest != arm.Digest {
			t.Errorf("got %s, %v, want %s", r.Manifest.Digest, err, arm.Digest)
		}
	})
}
