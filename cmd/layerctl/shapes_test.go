// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/schematest"
	"github.com/layerctl/layerctl/internal/trusted"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/trust"
)

// TestShapes: docs/images, df and verify.schema.json have each key of what the
// commands print, and no other.
func TestShapes(t *testing.T) {
	at, d := time.Unix(1, 0).UTC(), digest.FromString("x")
	platform := ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7", OSVersion: "1", OSFeatures: []string{"f"}}
	record := given.Record{
		Kind: given.Containerd, Address: "/c", Namespace: "n", Manifest: d, Root: d, Config: d, Names: []string{"a:1"}, Layers: []digest.Digest{d},
		Snapshotter: "erofs", Sizes: []int64{1}, Merged: d, Reference: "a:1", Platform: "linux/arm/v7", Copied: 1, HandedOver: true, Repair: "r", Before: []given.Name{{Name: "b", Root: d}}, Complete: true, Again: true, Time: at,
	}
	least := given.Record{Kind: given.ContainersStorage, Address: "/d", Manifest: d, Root: d, Config: d, Names: []string{"a:1"}, Time: at}
	image := overlaystore.Image{
		Manifest: d, Config: d, Platform: platform, Layers: []digest.Digest{d}, Fix: d, Size: 1, Created: at, Pulled: at, Used: at,
		Refs: []string{"a:1"}, Names: []overlaystore.Name{{Ref: "a:1", Platform: platform}},
	}
	judged := []trusted.Record{{
		Reference: "a:1", Root: d, Manifest: d, Policy: "/p", Line: 1, Scope: "s", Asked: d, Unlisted: true, Time: at,
		Signatures: []trust.Accepted{{Key: "k", Form: "bundle", Place: "tag", Subject: d, Signature: d, Reference: "a"}},
	}}
	held := show.Held{d: {record, least}}
	report := overlaystore.Report{Layers: 1, Files: 2, Bytes: 3, Differences: []overlaystore.Difference{{Layer: d, Fix: true, Path: "p", Field: "f", Got: "g", Want: "w"}}}
	for _, c := range []struct {
		name        string
		full, least func(io.Writer) error
	}{
		{"images", func(w io.Writer) error {
			return terminal.WriteJSON(w, []show.Listed{show.NewListed(image, held[d], judged), show.NewHandedOver(record)})
		}, func(w io.Writer) error {
			return terminal.WriteJSON(w, []show.Listed{show.NewListed(overlaystore.Image{Manifest: d, Config: d}, nil, nil), show.NewHandedOver(least)})
		}},
		{"df", func(w io.Writer) error {
			return show.UsageJSON(w, overlaystore.Usage{Images: []overlaystore.ImageUsage{{Image: image}}}, held)
		}, func(w io.Writer) error { return show.UsageJSON(w, overlaystore.Usage{}, nil) }},
		{"verify", func(w io.Writer) error {
			return show.ReportJSON(w, report, []show.GivenReport{{Record: record, Report: report, Unchecked: 4}})
		}, func(w io.Writer) error { return show.ReportJSON(w, overlaystore.Report{}, nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var full, least bytes.Buffer
			if err := c.full(&full); err != nil {
				t.Fatal(err)
			}
			if err := c.least(&least); err != nil {
				t.Fatal(err)
			}
			schema := exactShapeOf(t, c.name)
			schematest.Check(t, schema, full.String())
			schematest.Check(t, schema, least.String())
			var described, document any
			if err := json.Unmarshal(readFile(t, filepath.Join("../../docs", c.name+".schema.json")), &described); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(full.Bytes(), &document); err != nil {
				t.Fatal(err)
			}
			for _, key := range unsaid(described, document, c.name) {
				t.Errorf("the schema has %s, which is never there", key)
			}
		})
	}
}

// unsaid are keys that a schema describes and a document, with all that there can
// be in its first elements, has not.
func unsaid(schema, document any, at string) (list []string) {
	s, _ := schema.(map[string]any)
	if items, ok := document.([]any); ok && len(items) > 0 {
		return unsaid(s["items"], items[0], at+"[]")
	}
	object, ok := document.(map[string]any)
	if !ok {
		return nil
	}
	properties, _ := s["properties"].(map[string]any)
	for key, inner := range properties {
		value, there := object[key]
		if !there {
			list = append(list, fmt.Sprintf("%s.%s", at, key))
		}
		list = append(list, unsaid(inner, value, at+"."+key)...)
	}
	return list
}
