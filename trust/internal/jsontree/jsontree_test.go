// SPDX-License-Identifier: Apache-2.0

package jsontree_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/trust/internal/jsontree"
)

func TestParse(t *testing.T) {
	v, err := jsontree.Parse([]byte("{\"a\": {\n\"b\": \"x\"},\n\"list\": [1,\n null]}"), 100)
	if err != nil {
		t.Fatal(err)
	}
	items, err := v.Get("list").List()
	if err != nil || len(items) != 2 || items[1].Line != 4 || !items[1].IsNull() || !items[0].IsInteger() {
		t.Errorf("list %v, %v", items, err)
	}
	if v.TextAt("a", "b") != "x" || v.TextAt("a") != "" || v.TextAt("list", "b") != "" || v.Get("a", "c") != nil {
		t.Error("members are not found")
	}
	for what, err := range map[string]error{
		"missing": v.Exactly("a", "list", "more"), "more": v.Only("a"), "no object": v.Get("list").Only(),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestRefusals(t *testing.T) {
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

// FuzzParse: what is read is JSON to encoding/json too.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":[1,"x",null,true,{"b":{}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := jsontree.Parse(raw, 1<<16); err == nil && !json.Valid(raw) {
			t.Errorf("%q is taken", raw)
		}
	})
}
