// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/inspect"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/overlaystore"
)

// maxRequests is what a hostile index may cost.
const maxRequests = 20

// hostileIndexes are indexes that cost their author nothing.
var hostileIndexes = map[string]func(*imagetest.Layout) ocispec.Descriptor{
	"many empty indexes": func(l *imagetest.Layout) ocispec.Descriptor {
		var nested []ocispec.Descriptor
		n := 100
		if full() {
			n = 1000
		}
		for i := range n {
			nested = append(nested, l.Blob(ocispec.MediaTypeImageIndex, emptyIndex(i)))
		}
		return l.Index(nested...)
	},
	"a chain of 100": func(l *imagetest.Layout) ocispec.Descriptor {
		desc := l.Blob(ocispec.MediaTypeImageIndex, emptyIndex(0))
		for range 100 {
			desc = l.Index(desc)
		}
		return desc
	},
	"indexes of 4 MiB": func(l *imagetest.Layout) ocispec.Descriptor {
		var nested []ocispec.Descriptor
		for i := range 3 {
			raw := strings.Replace(string(emptyIndex(i)), "{", `{"annotations":{"a":"`+strings.Repeat("x", 4<<20-200)+`"},`, 1)
			nested = append(nested, l.Blob(ocispec.MediaTypeImageIndex, []byte(raw)))
		}
		return l.Index(nested...)
	},
	"fans of fans": func(l *imagetest.Layout) ocispec.Descriptor {
		var fans []ocispec.Descriptor
		for i := range 4 {
			var nested []ocispec.Descriptor
			for j := range 30 {
				nested = append(nested, l.Blob(ocispec.MediaTypeImageIndex, emptyIndex(i*30+j)))
			}
			fans = append(fans, l.Index(nested...))
		}
		return l.Index(fans...)
	},
}

func emptyIndex(i int) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[],"x":%d}`, ocispec.MediaTypeImageIndex, i)
}

func TestIndexesHaveABudget(t *testing.T) {
	t.Parallel()
	verbs := map[string]func(*cached, string) error{
		"resolve": func(s *cached, ref string) error {
			_, err := s.client.Resolve(t.Context(), ref)
			return err
		},
		"inspect": func(s *cached, ref string) error {
			_, err := s.client.Inspect(t.Context(), ref, inspect.Options{Detail: inspect.Configs})
			return err
		},
		"pull": func(s *cached, ref string) error {
			_, err := s.client.Pull(t.Context(), s.store, ref)
			return err
		},
		"export": func(s *cached, ref string) error {
			_, err := s.client.Export(t.Context(), ref, io.Discard, ExportOptions{AllPlatforms: true})
			return err
		},
		"export of one": func(s *cached, ref string) error {
			_, err := s.client.Export(t.Context(), ref, io.Discard, ExportOptions{})
			return err
		},
		"view": func(s *cached, ref string) error {
			_, err := s.client.RootFS(t.Context(), ref, RootFSOptions{})
			return err
		},
	}
	for kind, hostile := range hostileIndexes {
		s := newCached(t, Options{})
		root := hostile(s.layout)
		s.AddLayout(s.layout.Dir, "latest")
		s.Add(root.MediaType, readFile(t, s.layout.Path(root.Digest)), "hostile")
		ref := s.Host + "/image:hostile"
		for verb, do := range verbs {
			if !full() && kind == "indexes of 4 MiB" && verb != "pull" {
				continue // all this text is read by one walk
			}
			t.Run(kind+"/"+verb, func(t *testing.T) {
				s.Requests()
				err := do(s, ref)
				if !errors.Is(err, errkind.Malformed) || !strings.Contains(fmt.Sprint(err), "by its digest instead") {
					t.Errorf("got %v, want a refusal that says what to do", err)
				}
				if got := s.Requests(); len(got) > maxRequests {
					t.Errorf("%d requests, want %d at the most", len(got), maxRequests)
				}
				if blobs, err := s.kept.Blobs(); err != nil || len(blobs) != 0 {
					t.Errorf("%d documents in the cache, %v; want none of what failed", len(blobs), err)
				}
			})
		}
	}
}

// A cache may have what another program put there.
func TestPruneHasABudget(t *testing.T) {
	t.Parallel()
	for kind, hostile := range hostileIndexes {
		t.Run(kind, func(t *testing.T) {
			if !full() && kind == "indexes of 4 MiB" {
				t.Skip("TestIndexesHaveABudget reads them by the same walk: LAYERCTL_FULL=1 runs it")
			}
			s := newCached(t, Options{})
			root := hostile(s.layout)
			put := func(desc ocispec.Descriptor) {
				f := readFile(t, s.layout.Path(desc.Digest))
				if err := s.kept.Put(t.Context(), desc, strings.NewReader(string(f))); err != nil {
					t.Fatal(err)
				}
			}
			put(root)
			if err := s.kept.Tag(t.Context(), "Not A Reference", root); err != nil {
				t.Fatal(err)
			}
			if kind == "a chain of 100" { // what is not there leads nowhere
				index := s.layout.Index
				inner := s.layout.Blob(ocispec.MediaTypeImageIndex, emptyIndex(0))
				middle := index(inner)
				top := index(middle)
				put(middle)
				put(top)
				if err := s.kept.Tag(t.Context(), "Not A Reference", top); err != nil {
					t.Fatal(err)
				}
			}
			if kind == "fans of fans" {
				return // none of the fans is in the cache: nothing is followed
			}
			_, err := PruneCache(t.Context(), s.store, s.kept, overlaystore.PruneOptions{})
			if !errors.Is(err, errkind.Malformed) || !strings.Contains(fmt.Sprint(err), "Not A Reference") {
				t.Errorf("got %v, want a refusal that names what leads there", err)
			}
		})
	}
}
