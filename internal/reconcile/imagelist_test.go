// SPDX-License-Identifier: Apache-2.0

package reconcile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/imagelist"
	"github.com/layerctl/layerctl/internal/schematest"
	"github.com/layerctl/layerctl/registry"
)

func TestReadList(t *testing.T) {
	one := imagelist.Image{Number: 1, Reference: "alpine:3.20"}
	for _, c := range []struct {
		name, text string
		want       []imagelist.Image
		bad        string // of the last one
	}{
		{"a reference", "alpine:3.20", []imagelist.Image{one}, ""},
		{"a byte order mark and CRLF", "\ufeffalpine:3.20\r\n", []imagelist.Image{one}, ""},
		{"k3s's images.txt", "docker.io/rancher/klipper-helm:v0.9.2\ndocker.io/rancher/mirrored-pause:3.6\n",
			[]imagelist.Image{{Number: 1, Reference: "docker.io/rancher/klipper-helm:v0.9.2"}, {Number: 2, Reference: "docker.io/rancher/mirrored-pause:3.6"}}, ""},
		{"comments and all words", "# all\n\nalpine:3.20 linux/arm/v7 pin into=containerd into=k3s=/run/c.sock name=a:1 # mine\n",
			[]imagelist.Image{{Number: 3, Reference: "alpine:3.20", Platform: "linux/arm/v7", Pin: true, Into: []string{"containerd", "k3s=/run/c.sock"}, Name: "a:1"}}, ""},
		{"said again", "alpine:3.20\ndocker.io/library/alpine:3.20\n", []imagelist.Image{one}, ""},
		{"another platform", "alpine:3.20\nalpine:3.20 linux/arm64\n", []imagelist.Image{one, {Number: 2, Reference: "alpine:3.20", Platform: "linux/arm64"}}, ""},
		{"said again, and else", "alpine:3.20\nalpine:3.20 pin\n", []imagelist.Image{one, {Number: 2, Reference: "alpine:3.20", Pin: true}}, "twice"},
		{"a bad reference", "alpine:3.20\nAlpine\n", []imagelist.Image{one, {Number: 2, Reference: "Alpine"}}, "line 2: "},
		{"a bad platform", "alpine:3.20\nbusybox linux/\n", []imagelist.Image{one, {Number: 2, Reference: "busybox", Platform: "linux/"}}, "line 2: "},
		{"a word too many", "alpine:3.20 linux/arm64 linux/amd64", []imagelist.Image{{Number: 1, Reference: "alpine:3.20", Platform: "linux/arm64"}}, "\"linux/amd64\" is no word here"},
		{"a bad name", "alpine:3.20 name=x@y", []imagelist.Image{{Number: 1, Reference: "alpine:3.20", Name: "x@y"}}, "line 1: "},
		{"an object", ` {"$schema": "x", "images": [{"reference": "alpine:3.20", "pin": true, "into": ["k3s"]}]}`,
			[]imagelist.Image{{Number: 1, Reference: "alpine:3.20", Pin: true, Into: []string{"k3s"}}}, ""},
		{"an object of none", `{"images":[]}`, []imagelist.Image{}, ""},
		{"an object with a key that is none", `{"images":[{"reference":"alpine:3.20"},{"refrence":"busybox"}]}`, []imagelist.Image{one, {Number: 2}}, "image 2: "},
		{"an object without a reference", `{"images":[{}]}`, []imagelist.Image{{Number: 1}}, "image 1: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := imagelist.Read(strings.NewReader(c.text))
			if err != nil {
				t.Fatal(err)
			}
			bad := ""
			for i := range got {
				if got[i].Err != nil {
					bad = got[i].Err.Error()
					if !errors.Is(got[i].Err, errkind.Usage) {
						t.Errorf("%v is no usage error", got[i].Err)
					}
				}
				got[i].Err = nil
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if (bad == "") != (c.bad == "") || !strings.Contains(bad, c.bad) {
				t.Errorf("got error %q, want %q", bad, c.bad)
			}
		})
	}
}

func TestReadListRefuses(t *testing.T) {
	many := &strings.Builder{}
	for i := range 10_000 + 1 {
		fmt.Fprintf(many, "a:%d\n", i)
	}
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "names no image"},
		{"comments only", "# none\n", "names no image"},
		{"too many", many.String(), "more than 10000 images"},
		{"a long line", "a " + strings.Repeat("x", 4<<10), "line 1 has more"},
		{"too large", strings.Repeat("\n", imagelist.MaxSize+1), "more than 4194304 bytes"},
		{"a cut object", `{"images":[`, "unexpected EOF"},
		{"an object of something else", `{"kind":"List"}`, "unknown field"},
		{"an object without images", `{}`, `no "images"`},
		{"two objects", `{"images":[]}{"images":[]}`, "follows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := imagelist.Read(strings.NewReader(c.text))
			if list != nil || !errors.Is(err, errkind.Malformed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v, want %q", list, err, c.want)
			}
		})
	}
}

// TestListSchema: docs/list.schema.json describes what Read takes.
func TestListSchema(t *testing.T) {
	schema := schematest.Read(t, "../../docs/list.schema.json")
	for text, valid := range map[string]bool{
		`{"images":[]}`: true,
		`{"$schema":"x","images":[{"reference":"alpine:3.20","platform":"linux/arm64","pin":true,"into":["containerd","k3s"],"name":"a:1"}]}`: true,
		`{}`:                                 false,
		`{"images":[{}]}`:                    false,
		`{"images":[{"refrence":"alpine"}]}`: false,
		`{"images":[{"reference":"alpine","pin":"yes"}]}`: false,
	} {
		var document any
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); (err == nil) != valid {
			t.Errorf("the schema of %s: %v", text, err)
		}
		list, err := imagelist.Read(strings.NewReader(text))
		for _, i := range list {
			err = errors.Join(err, i.Err)
		}
		if (err == nil) != valid {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzImageList(f *testing.F) {
	f.Add([]byte("alpine:3.20 linux/arm/v7 pin into=containerd name=a:1 # mine\n"))
	f.Add([]byte(`{"images":[{"reference":"alpine:3.20","platform":"linux/arm64","pin":true,"into":["k3s"],"name":"a:1"},7]}`))
	if k3s, err := os.ReadFile("testdata/k3s-images.txt"); err == nil {
		f.Add(k3s)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := imagelist.Read(strings.NewReader(string(raw)))
		if err != nil && list != nil || len(list) > 10_000 {
			t.Fatalf("%d images and %v", len(list), err)
		}
		keys := map[string]bool{}
		for _, i := range list {
			if i.Err != nil {
				continue
			}
			if _, err := registry.Parse(i.Reference); err != nil || keys[i.Key()] {
				t.Errorf("%+v: %v", i, err)
			}
			keys[i.Key()] = true
		}
		again, err := json.Marshal(struct {
			Images []imagelist.Image `json:"images"`
		}{list})
		if err != nil {
			t.Fatal(err)
		}
		if list == nil {
			return
		}
		if _, err := imagelist.Read(strings.NewReader(string(again))); err != nil {
			t.Errorf("%s: %v", again, err)
		}
	})
}
