// SPDX-License-Identifier: Apache-2.0

package engines

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// engineOf is an engine that has all images already, or none.
type engineOf struct {
	all bool
	of  string // what it was pulled as
}

func (h engineOf) has(context.Context, layerctl.Resolution, registry.Reference) (bool, string, error) {
	return h.all, h.of, nil
}
func (engineOf) admit(context.Context, []digest.Digest) error { return nil }
func (engineOf) give(context.Context, gift) error             { return nil }
func (engineOf) Close() error                                 { return nil }

// clear fails, which must not fail a pull.
func (engineOf) clear(context.Context) error { return errors.New("no lock") }

// TestHandedOverBefore: the pull that handed an image over may have died before
// the store forgot it; the next one, which has nothing to give, ends that.
func TestHandedOverBefore(t *testing.T) {
	const name = "localhost/a:1"
	now, before := digest.FromString("now"), digest.FromString("before")
	for _, c := range []struct {
		name     string
		has      engineOf
		handOver string
		stored   digest.Digest // what the name means in the store
		want     error
		stays    bool
	}{
		{"the same", engineOf{true, "linux/amd64"}, "true", now, ErrHas, false},
		{"what the name meant before", engineOf{true, "linux/amd64"}, "true", before, ErrHas, false},
		{"it is not known what it was pulled as", engineOf{all: true}, "true", now, ErrHas, false},
		{"nor what the name meant before", engineOf{all: true}, "true", before, ErrHas, true},
		{"the engine has it no longer", engineOf{}, "true", now, nil, true},
		{"not to be handed over", engineOf{true, "linux/amd64"}, "false", now, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			store, err := overlaystore.Open(t.Context(), filepath.Join(t.TempDir(), "store"), overlaystore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			img := overlaystore.Image{Manifest: c.stored, Config: now, Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
			if _, err := store.PutImage(t.Context(), img); err != nil {
				t.Fatal(err)
			}
			ref, err := registry.Parse(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Tag(t.Context(), ref.String(), c.stored, overlaystore.TagOptions{}); err != nil {
				t.Fatal(err)
			}
			app := cli.App{Flags: GiveFlags(), Action: func(ctx *cli.Context) error {
				g, o := &Giver{c: ctx, engine: c.has, store: store}, layerctl.Options{}
				g.Admit()(&o)
				r := layerctl.Resolution{Reference: ref}
				r.Root.Digest, r.Manifest.Digest = now, now
				return o.Admit(ctx.Context, r, nil)
			}}
			if err := app.RunContext(t.Context(), []string{"layerctl", "--hand-over=" + c.handOver}); !errors.Is(err, c.want) {
				t.Errorf("%v; want %v", err, c.want)
			}
			_, err = store.Lookup(ref.String(), platform.Wanted{})
			if c.stays != (err == nil) || err != nil && !errors.Is(err, overlaystore.ErrNotFound) {
				t.Errorf("afterwards it is in the store: %v", err)
			}
		})
	}
}
