// SPDX-License-Identifier: Apache-2.0

package imagediff

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Field is one field of the config that differs.
type Field struct {
	// Name is the name in the config, such as "config.Entrypoint". Variables, labels,
	// ports and volumes are fields of their own: "config.Env.PATH",
	// "config.Labels.org.example".
	Name string
	// A and B are the values as JSON, without blanks and with sorted keys; "" if the
	// image does not have the field.
	A, B string
}

// unlisted are fields that do not matter to how an image runs: layers are compared
// separately, and the others describe how the image was built.
var unlisted = []string{"rootfs", "history", "container", "container_config"}

func compareConfigs(a, b []byte) (list []Field) {
	fieldsA, fieldsB := fieldsOf(a), fieldsOf(b)
	names := maps.Clone(fieldsA)
	maps.Copy(names, fieldsB)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if fieldsA[name] != fieldsB[name] {
			list = append(list, Field{Name: name, A: fieldsA[name], B: fieldsB[name]})
		}
	}
	return list
}

// fieldsOf returns the fields of a config by their names.
func fieldsOf(raw []byte) map[string]string {
	fields := map[string]string{}
	var config map[string]json.RawMessage
	if json.Unmarshal(raw, &config) != nil {
		return fields
	}
	for name, value := range config {
		switch {
		case slices.Contains(unlisted, name):
		case name == "config":
			var inner map[string]json.RawMessage
			if json.Unmarshal(value, &inner) != nil {
				continue
			}
			for name, value := range inner {
				addField(fields, "config."+name, value)
			}
		default:
			addField(fields, name, value)
		}
	}
	return fields
}

// addField adds a field, or each member of a field that is a set. It leaves out null
// and empty values, which mean the same as no field.
func addField(fields map[string]string, name string, value json.RawMessage) {
	switch name {
	case "config.Env":
		var env []string
		if json.Unmarshal(value, &env) == nil {
			for _, variable := range env {
				key, value, _ := strings.Cut(variable, "=")
				fields[name+"."+key] = encoded(value)
			}
			return
		}
	case "config.Labels", "config.ExposedPorts", "config.Volumes":
		var set map[string]json.RawMessage
		if json.Unmarshal(value, &set) == nil {
			for key, value := range set {
				fields[name+"."+key] = compact(value)
			}
			return
		}
	}
	if text := compact(value); !slices.Contains([]string{"null", `""`, "[]", "{}"}, text) {
		fields[name] = text
	}
}

// compact returns a value without blanks, with its keys sorted and its strings escaped
// in one way.
func compact(value json.RawMessage) string {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return string(value)
	}
	return encoded(v)
}

func encoded(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}
