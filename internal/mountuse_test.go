// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/mountuse"
)

func TestUse(t *testing.T) {
	manifest, other := digest.FromString("an image"), digest.FromString("another store's")
	hex := digest.FromString("a layer").Encoded()
	ix := &mountuse.Index{
		Path: "/store", Links: map[string]string{"1": "layers/" + hex + "/fs"},
		Manifests: []digest.Digest{manifest}, Whole: true, Logger: slog.New(slog.DiscardHandler),
	}
	dirs, chain, same := []string{"layers/" + hex}, digest.FromString("a stack").Encoded(), digest.FromString("one with the same layers")
	ix.Manifests, ix.Chains = append(ix.Manifests, same), map[string]digest.Digest{chain: same}
	fix := []string{"fix/" + chain}
	for _, c := range []struct {
		name, fstype, source string
		lower                []string
		want                 mountuse.Use
	}{
		{"by path", "overlay", "overlay", []string{"/store/layers/" + hex + "/fs"}, mountuse.Use{Ours: true, Dirs: dirs}},
		{"by link", "overlay", "overlay", []string{"/store/l/1"}, mountuse.Use{Ours: true, Dirs: dirs}},
		{"by its end, in doubt", "overlay", "overlay", []string{"/elsewhere/layers/" + hex + "/fs"}, mountuse.Use{Dirs: dirs}},
		{"by a relative link, in doubt", "overlay", "overlay", []string{"1"}, mountuse.Use{Dirs: dirs}},
		{"by source", "overlay", mounts.Source("a", manifest), []string{"1"}, mountuse.Use{Ours: true, Manifest: manifest, Dirs: dirs}},
		{"another store's by source", "overlay", mounts.Source("a", other), []string{"1"}, mountuse.Use{}},
		{"another store's by path", "overlay", mounts.Source("a", manifest), []string{"/elsewhere/l/7"}, mountuse.Use{Manifest: manifest}},
		{"an index by its link", "erofs", "/store/fix/" + chain + "/" + manifest.Encoded()[:12] + ".erofs", nil, mountuse.Use{Ours: true, Manifest: manifest, Dirs: fix}},
		{"an index by erofsfuse", "fuse.erofsfuse", "/store/fix/" + chain + "/index.erofs", nil, mountuse.Use{Ours: true, Manifest: same, Dirs: fix}},
		{"an index, unsynced", "erofs", "/store/unsynced/boot/fix-" + chain + "/index.erofs", nil, mountuse.Use{Ours: true, Manifest: same, Dirs: fix}},
		{"an index by the link of what is gone", "erofs", "/store/fix/" + chain + "/0123456789ab.erofs", nil, mountuse.Use{Ours: true, Manifest: same, Dirs: fix}},
		{"another store's index", "erofs", "/elsewhere/fix/" + chain + "/index.erofs", nil, mountuse.Use{Dirs: fix}},
		{"another file", "erofs", "/store/fix/" + chain + "/other.erofs", nil, mountuse.Use{}},
		{"no overlay", "tmpfs", mounts.Source("a", manifest), nil, mountuse.Use{}},
	} {
		e := mounts.Entry{Type: c.fstype, Source: c.source, SuperOptions: []string{"lowerdir=" + strings.Join(c.lower, ":")}}
		got := ix.Use(t.Context(), "self", e)
		if got.Ours != c.want.Ours || got.Manifest != c.want.Manifest || !slices.Equal(got.Dirs, c.want.Dirs) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
