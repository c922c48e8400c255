// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"context"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/multiarch"
	client "github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/transfer"
)

// openers counts what is opened, and opens it by the library's client.
type openers struct {
	*layerctl.Client
	opened int
}

func (o *openers) open(ctx context.Context, ref client.Reference) (transfer.Origin, error) {
	o.opened++
	return o.Origin(ctx, ref, nil)
}

// TestCopyAndIndex copies an image in another form, through an opener of the
// caller's own, and lists it in an index.
func TestCopyAndIndex(t *testing.T) {
	parse := func(text string) client.Reference {
		t.Helper()
		r, err := client.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	o := options(newRegistry(t))
	c := client.New(o.Registry)
	from := &openers{Client: layerctl.New(o)}
	copied := parse("oci:" + filepath.Join(t.TempDir(), "copied:1"))
	done, err := transfer.Copy(t.Context(), c, parse(ref), copied, transfer.Options{
		Platforms: []string{"linux/amd64"}, Form: manifest.Docker, Open: from.open,
	})
	if err != nil || done.Root.MediaType != manifest.DockerManifest || from.opened != 1 {
		t.Fatalf("got %+v, %v, opened %d", done, err, from.opened)
	}
	made, err := multiarch.Make(t.Context(), c, []multiarch.Member{{Ref: copied, Platform: ocispec.Platform{OS: "linux"}}}, multiarch.Options{Open: from.open})
	if err != nil || len(made.Entries) != 1 || made.Entries[0].Digest != done.Root.Digest {
		t.Fatalf("got %+v, %v", made, err)
	}
	if _, err := transfer.Send(t.Context(), c, made.Documents, copied, []string{"2"}, transfer.Options{Open: from.open}); err != nil {
		t.Error(err)
	}
}
