// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/schematest"
	"github.com/layerctl/layerctl/internal/syncreport"
)

func example() syncreport.Report {
	at := time.Date(2026, 11, 29, 2, 0, 0, 500e6, time.UTC)
	d := digest.FromString("x")
	return syncreport.Report{
		SchemaVersion: syncreport.Version, Node: "n", Store: "/s", List: "l", Began: at, Ended: at.Add(time.Second), Succeeded: &at, ExitCode: 3,
		Error: &syncreport.Problem{ExitCode: 1, Message: "e"}, Received: 7, Pruned: 8, Free: 9,
		Images: []syncreport.Image{
			{
				Line: 1, Reference: "b:1", Platform: "linux/arm/v7", Pin: true, Into: []string{"k3s"}, Name: "n:1", State: syncreport.Pulled, Root: d, Wanted: d, Manifest: d,
				Size: 5, Missing: 4, Received: 7, Seconds: 1.5, Hosts: []syncreport.Host{{Host: "mirror", Bytes: 3}, {Host: "b", Bytes: 4}},
				Engines: []syncreport.Engine{{Kind: "containerd", Address: "/c", Namespace: "k8s.io", Names: []string{"b:1"}}}, Verified: &at,
			},
			{Line: 2, Reference: "a\"\\\n\u009b", Into: []string{}, State: syncreport.Failed, Hosts: []syncreport.Host{}, Engines: []syncreport.Engine{}, Error: &syncreport.Problem{ExitCode: 3, Message: "no"}},
			{Reference: "old", Into: []string{}, State: syncreport.Kept, Reason: "used by x", Hosts: []syncreport.Host{}, Engines: []syncreport.Engine{}},
		},
	}
}

// TestSchema: docs/sync-report.schema.json has each key of a report, and no other.
func TestSchema(t *testing.T) {
	schema := schematest.Read(t, "../docs/sync-report.schema.json")
	for _, r := range []syncreport.Report{example(), {SchemaVersion: syncreport.Version, Images: []syncreport.Image{}}} {
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		object, ok := schematest.Check(t, schema, string(raw)).(map[string]any)
		if described := len(schema.Schema().Properties); !ok || len(object) != described {
			t.Errorf("%d keys, and the schema has %d", len(object), described)
		}
		again, err := syncreport.Read(bytes.NewReader(raw))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("read %+v, %v", again, err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "no JSON": "x", "another version": `{"schemaVersion":2}`, "another shape": `{"schemaVersion":1,"images":7}`,
	} {
		if r, err := syncreport.Read(strings.NewReader(text)); !errors.Is(err, errkind.Mismatch) || r.SchemaVersion != 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestWriteMetrics(t *testing.T) {
	var b bytes.Buffer
	if err := syncreport.WriteMetrics(&b, example()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# TYPE layerctl_sync_images gauge\n", `layerctl_sync_images{state="kept"} 1`, `layerctl_sync_images{state="present"} 0`,
		"layerctl_sync_success_timestamp_seconds 1795917600.5\n", `layerctl_sync_received_bytes{host="mirror"} 3`,
		`layerctl_image_ready{reference="b:1",platform="linux/arm/v7"} 1`, `layerctl_image_ready{reference="a\"\\\n\\u009b",platform=""} 0`,
	} {
		if !strings.Contains(b.String(), want+map[bool]string{true: "", false: "\n"}[strings.HasSuffix(want, "\n")]) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "old") {
		t.Error("what the list does not name has metrics of its own")
	}
}
