// SPDX-License-Identifier: Apache-2.0

package engines

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sort"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/engine/containerd"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
)

// Survey returns the engines of this machine, and whether images can be given to them.
func Survey(ctx context.Context) []overlaymount.Check {
	var list []overlaymount.Check
	seen := map[string]bool{}
	for _, p := range presets {
		socket, check := strings.TrimPrefix(p.socket(), "unix://"), containerdAnswers
		if p.name == "docker" {
			socket, check = dockerSocket, dockerAnswers
		}
		if _, err := os.Stat(socket); seen[socket] || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		seen[socket] = true
		found := overlaymount.Check{Name: p.name, OK: true, Value: socket}
		if err := check(ctx, socket); err != nil {
			found.OK, found.Hint = false, err.Error()
		} else if p.name != "docker" && servesFiles(ctx, socket) {
			found.Hint = "--snapshotter erofs serves it from a store of tars"
		}
		list = append(list, found)
	}
	if found, is := surveyStorage(); is {
		list = append(list, found)
	}
	if len(list) == 0 {
		list = append(list, overlaymount.Check{Name: "containerd, k3s, docker", Value: "none is running", Hint: "only needed for --into"})
	}
	return list
}

// servesFiles reports whether an engine takes the layers of a store of tars as they are.
func servesFiles(ctx context.Context, socket string) bool {
	e, err := containerd.Connect(ctx, containerd.Options{Address: socket, Snapshotter: containerd.Erofs})
	return err == nil && e.Close() == nil
}

func containerdAnswers(ctx context.Context, socket string) error {
	e, err := containerd.Connect(ctx, containerd.Options{Address: socket})
	if err != nil {
		return err
	}
	return e.Close()
}

func dockerAnswers(ctx context.Context, _ string) error { return dockerKeepsImages(ctx) }

// Holdings returns the records of what engines were given, by the image's manifest.
func Holdings(store *overlaystore.Store) (map[digest.Digest][]given.Record, error) {
	list, err := given.List(store.Dir())
	byImage := map[digest.Digest][]given.Record{}
	for _, r := range list {
		byImage[r.Manifest] = append(byImage[r.Manifest], r)
	}
	return byImage, err
}

// HandedOver returns the records of images that only engines have, sorted by their names.
func HandedOver(held map[digest.Digest][]given.Record, images []overlaystore.Image) (list []given.Record) {
	for manifest, records := range held {
		for _, r := range records {
			if r.HandedOver && !slices.ContainsFunc(images, func(i overlaystore.Image) bool { return i.Manifest == manifest }) {
				list = append(list, r)
			}
		}
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		return cmp.Or(cmp.Compare(a.Reference, b.Reference), cmp.Compare(a.Manifest, b.Manifest), cmp.Compare(a.Address+a.Namespace, b.Address+b.Namespace)) < 0
	})
	return list
}
