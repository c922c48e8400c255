// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/trust/internal/jsontree"
)

func TestJSONTree(t *testing.T) {
	const text = "{\"a\": {\n\"b\": \"x\"},\n\"list\": [1,\n null]}"
	read := func(use func(v *jsontree.Value)) error {
		v, err := jsontree.Parse([]byte(text), 100)
		if err != nil {
			t.Fatal(err)
		}
		use(v)
		return v.Err()
	}
	if err := read(func(v *jsontree.Value) {
		items := v.Get("list").List()
		if len(items) != 2 || items[1].Line != 4 || !items[1].IsNull() {
			t.Errorf("list %v", items)
		}
		items[0].Integer()
		v.Exactly("a", "list")
		if v.TextAt("a", "b") != "x" || v.TextAt("a") != "" || v.TextAt("list", "b") != "" || v.Get("a", "c", "d") != nil {
			t.Error("members are not found")
		}
		gone := v.Get("a", "c")
		gone.Exactly("x")
		if gone.Text() != "" || gone.List() != nil || !gone.IsNull() {
			t.Error("there is something in what is not there")
		}
	}); err != nil {
		t.Error(err)
	}
	for what, use := range map[string]func(v *jsontree.Value){
		"missing": func(v *jsontree.Value) { v.Exactly("a", "list", "more") }, "more": func(v *jsontree.Value) { v.Only("a") },
		"no object": func(v *jsontree.Value) { v.Get("list").Only() }, "no list": func(v *jsontree.Value) { v.Get("a").List() },
		"no string": func(v *jsontree.Value) { v.Get("a").Text() }, "no number": func(v *jsontree.Value) { v.Get("list").List()[1].Integer() },
	} {
		if err := read(use); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := read(func(v *jsontree.Value) { v.Get("list").Fail("first"); v.Fail("second") }); err == nil || err.Error() != "line 3: first" {
		t.Errorf("of two: %v", err)
	}
}

func TestJSONTreeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1,"a":2}`:                   "twice",
		`{"a":1,"\u0061":2}`:              "twice",
		"{}\n{}":                          "data after",
		"{\n\"a\":}":                      "line 2",
		"\"\xff\"":                        "UTF-8",
		`{"a":1`:                          "no JSON",
		strings.Repeat("[", 200):          "nests deeper",
		strings.Repeat(" ", 1<<20) + "{}": "larger than",
	} {
		if _, err := jsontree.Parse([]byte(text), 1<<20); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

// FuzzJSONTree: what is read is JSON to encoding/json too.
func FuzzJSONTree(f *testing.F) {
	f.Add([]byte(`{"a":[1,"x",null,true,{"b":{}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := jsontree.Parse(raw, 1<<16); err == nil && !json.Valid(raw) {
			t.Errorf("%q is taken", raw)
		}
	})
}
