// SPDX-License-Identifier: Apache-2.0

// Package schematest reads the JSON schemas of docs, for tests.
package schematest

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
)

// Read reads the schema in a file.
func Read(t testing.TB, file string) *jsonschema.Resolved {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return Parse(t, raw)
}

// Parse parses a schema, and fails the test for one that makes no sense.
func Parse(t testing.TB, raw []byte) *jsonschema.Resolved {
	t.Helper()
	var schema jsonschema.Schema
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

// Check fails the test unless the document is as the schema says. It returns the
// document.
func Check(t testing.TB, schema *jsonschema.Resolved, document string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(document), &v); err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(v); err != nil {
		t.Errorf("%v\n%s", err, document)
	}
	return v
}
