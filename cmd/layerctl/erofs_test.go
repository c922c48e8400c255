// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
)

// A layer that is an EROFS filesystem is refused in words, in a store of either
// form; of an index that has the image as tars too those are taken.
func TestLayersThatAreEROFS(t *testing.T) {
	for _, mediaType := range []string{"application/vnd.erofs.layer.v1", "application/vnd.erofs+zstd", "application/vnd.oci.image.layer.v1.erofs"} {
		l := imagetest.NewLayout(filepath.Join(t.TempDir(), "layout"))
		tars := l.Image(amd64, imagetest.Tar(imagetest.File("a", "a")))
		config := ocispec.Image{Platform: amd64}
		layer := l.Blob(mediaType, make([]byte, 4096))
		config.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: append(config.RootFS.DiffIDs, layer.Digest)}
		ready := l.Manifest(config, layer)
		l.Tag(ready, "erofs")
		ready.Platform.OSFeatures = []string{"erofs"}
		l.Tag(l.Index(ready, tars), "both")
		store := filepath.Join(t.TempDir(), "store")
		lowers := []string{"dir"}
		if os.Geteuid() == 0 { // tars are for root
			lowers = append(lowers, "tar")
		}
		for _, lower := range lowers {
			code, _, said := pullAMD64(store+lower, "--lower", lower, "oci:"+l.Dir+":erofs")
			if want := `media type "` + mediaType + `" is an EROFS filesystem`; code != 7 || !strings.Contains(said, want) {
				t.Errorf("%s, --lower %s: exit %d and %q, want %q", mediaType, lower, code, said, want)
			}
		}
		if code, out, said := pullAMD64(store, "oci:"+l.Dir+":both"); code != 0 || !strings.Contains(out, tars.Digest.String()) {
			t.Errorf("%s: exit %d, %q and %q, want %s", mediaType, code, out, said, tars.Digest)
		}
	}
}

func pullAMD64(store string, args ...string) (code int, stdout, stderr string) {
	var out, err strings.Builder
	code = run(append([]string{"layerctl", "--store", store, "--platform", "linux/amd64", "pull", "-q", "--json"}, args...), strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}
