// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"
)

// decode fills v, a pointer to a struct, from exactly one JSON object. Other than
// encoding/json it refuses what readers may understand differently: a key that comes twice,
// a known key in another case, bytes that are no UTF-8, data behind the object. See
// https://www.rfc-editor.org/rfc/rfc8259#section-4.
func decode(raw []byte, limit int, v any) error {
	switch {
	case len(raw) > limit:
		return malformed{fmt.Errorf("is larger than %d bytes", limit)}
	case !utf8.Valid(raw):
		return malformed{errors.New("is not UTF-8")}
	}
	w := walker{json.NewDecoder(bytes.NewReader(raw))}
	w.UseNumber()
	if err := w.document(reflect.TypeOf(v).Elem()); err != nil {
		return malformed{err}
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return malformed{err}
	}
	return nil
}

// walker walks through a document together with the type that will be filled from it.
type walker struct{ *json.Decoder }

func (w walker) document(t reflect.Type) error {
	tok, err := w.Token()
	if err != nil {
		return fmt.Errorf("is no JSON: %w", cleanEOF(err))
	}
	if tok != json.Delim('{') {
		return errors.New("is no JSON object")
	}
	if err := w.object(t, 1); err != nil {
		return err
	}
	if _, err := w.Token(); err != io.EOF {
		return errors.New("has data after its JSON object")
	}
	return nil
}

// value checks the next value. t is the type that it will fill; nil if that is not known.
func (w walker) value(t reflect.Type, depth int) error {
	tok, err := w.Token()
	if err != nil {
		return fmt.Errorf("is no JSON: %w", cleanEOF(err))
	}
	if depth > maxJSONDepth {
		return fmt.Errorf("nests deeper than %d levels", maxJSONDepth)
	}
	switch tok {
	case json.Delim('{'):
		return w.object(t, depth)
	case json.Delim('['):
		return w.array(t, depth)
	}
	return nil
}

func (w walker) array(t reflect.Type, depth int) error {
	t = deref(t)
	if known := t != nil && t.Kind() == reflect.Slice; known {
		t = t.Elem()
	} else {
		t = nil
	}
	for n := 1; w.More(); n++ {
		// Each element of a known type takes the memory of a struct, however short its
		// text is.
		if t != nil && n > MaxEntries {
			return fmt.Errorf("has a list of more than %d elements", MaxEntries)
		}
		if err := w.value(t, depth+1); err != nil {
			return err
		}
	}
	_, err := w.Token()
	return cleanEOF(err)
}

func (w walker) object(t reflect.Type, depth int) error {
	fields := fieldsOf(deref(t))
	seen := map[string]bool{}
	for w.More() {
		tok, err := w.Token()
		if err != nil {
			return fmt.Errorf("is no JSON: %w", cleanEOF(err))
		}
		key, ok := tok.(string)
		if !ok {
			return errors.New("is no JSON: a key is no string")
		}
		if seen[key] {
			return fmt.Errorf("has the key %q twice", key)
		}
		seen[key] = true
		field, known := fields[key]
		if !known {
			for name := range fields {
				if strings.EqualFold(name, key) {
					return fmt.Errorf("has the key %q, which is to be %q", key, name)
				}
			}
		}
		if err := w.value(field, depth+1); err != nil {
			return err
		}
	}
	_, err := w.Token()
	return cleanEOF(err)
}

// fieldsOf returns the keys of a struct and their types; nil for any other type.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			fields[name] = f.Type
		}
	}
	return fields
}

func deref(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// cleanEOF makes an error of an end in the middle of a document.
func cleanEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
