// SPDX-License-Identifier: Apache-2.0

// Package jsontree reads JSON that must mean the same to all who read it: a member that
// comes twice, data behind the value, and bytes that are no UTF-8 are errors, and names of
// members are compared case-sensitively. Each value knows its line.
package jsontree

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// Value is one value of a document: an object, a list, a string or another scalar. The
// methods that check a value return no error: [Value.Err] of any value returns the first
// fault of the document. A nil *Value is a missing one, with which nothing is wrong.
type Value struct {
	Line    int // the line on which it begins, from 1
	members []member
	items   []*Value
	scalar  any    // string, json.Number, bool or nil; the delimiter of an object or a list
	fault   *error // the first fault of the document
}

type member struct {
	name  string
	value *Value
}

// maxDepth and maxValues bound a document. The formats that are read here nest 6 deep.
const (
	maxDepth  = 24
	maxValues = 100_000
)

// Fail notes what is wrong with the value, for [Value.Err], which names its line.
func (v *Value) Fail(format string, args ...any) {
	if *v.fault == nil {
		*v.fault = errorAt(v.Line, format, args...)
	}
}

// Err returns the first fault of the document; nil if there is none.
func (v *Value) Err() error { return *v.fault }

func errorAt(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", line, fmt.Errorf(format, args...))
}

// Parse reads one document of at most limit bytes.
func Parse(raw []byte, limit int) (*Value, error) {
	switch {
	case len(raw) > limit:
		return nil, fmt.Errorf("is larger than %d bytes", limit)
	case !utf8.Valid(raw):
		return nil, errors.New("is not UTF-8")
	}
	p := &parser{raw: raw, line: 1, decoder: json.NewDecoder(bytes.NewReader(raw))}
	p.decoder.UseNumber()
	v, err := p.value(1)
	if err != nil {
		return nil, err
	}
	if _, err := p.decoder.Token(); err != io.EOF {
		return nil, p.fault("there is data after the JSON value")
	}
	return v, nil
}

type parser struct {
	decoder *json.Decoder
	first   error // what the fault of each Value points to
	raw     []byte
	offset  int // the byte up to which lines are counted
	line    int // the line at offset
	values  int
}

func (p *parser) fault(format string, args ...any) error {
	return errorAt(p.line, format, args...)
}

// token returns the next token. p.line becomes the line of its end.
func (p *parser) token() (json.Token, error) {
	t, err := p.decoder.Token()
	at := int(p.decoder.InputOffset())
	p.line += bytes.Count(p.raw[p.offset:at], []byte("\n"))
	p.offset = at
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, p.fault("it is no JSON: %v", err)
	}
	return t, nil
}

func (p *parser) value(depth int) (*Value, error) {
	t, err := p.token()
	if err != nil {
		return nil, err
	}
	if p.values++; p.values > maxValues || depth > maxDepth {
		return nil, p.fault("it holds more than %d values, or nests deeper than %d", maxValues, maxDepth)
	}
	v := &Value{Line: p.line, scalar: t, fault: &p.first}
	switch t {
	case json.Delim('{'):
		return v, p.object(v, depth)
	case json.Delim('['):
		return v, p.list(v, depth)
	}
	return v, nil
}

func (p *parser) object(v *Value, depth int) error {
	seen := map[string]bool{}
	for p.decoder.More() {
		t, err := p.token()
		if err != nil {
			return err
		}
		name, ok := t.(string)
		if !ok || seen[name] {
			return p.fault("the member %.100q stands twice", fmt.Sprint(t))
		}
		seen[name] = true
		value, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		v.members = append(v.members, member{name, value})
	}
	_, err := p.token()
	return err
}

func (p *parser) list(v *Value, depth int) error {
	for p.decoder.More() {
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		v.items = append(v.items, item)
	}
	_, err := p.token()
	return err
}

// Text returns a string; "" if it is missing. Any other value is a fault.
func (v *Value) Text() string {
	if v == nil {
		return ""
	}
	s, ok := v.scalar.(string)
	if !ok {
		v.Fail("it is no string")
	}
	return s
}

// IsNull reports whether the value is null or missing.
func (v *Value) IsNull() bool { return v == nil || v.scalar == nil }

// Integer makes a fault of a value that is no whole number.
func (v *Value) Integer() {
	n, _ := v.scalar.(json.Number)
	if f, err := n.Float64(); err != nil || f != float64(int64(f)) {
		v.Fail("it is no whole number")
	}
}

// List returns the items of an array; none if it is missing. Any other value is a fault.
func (v *Value) List() []*Value {
	if v == nil {
		return nil
	}
	if v.scalar != json.Delim('[') {
		v.Fail("it is no list")
	}
	return v.items
}

// Each calls use for each member of an object, in their order. Any other value is a
// fault, unless it is missing.
func (v *Value) Each(use func(name string, value *Value)) {
	if v == nil {
		return
	}
	if v.scalar != json.Delim('{') {
		v.Fail("it is no object")
	}
	for _, m := range v.members {
		use(m.name, m.value)
	}
}

// Get returns the member that names lead to from an object; nil if there is none.
func (v *Value) Get(names ...string) *Value {
	for _, name := range names {
		if v == nil {
			return nil
		}
		i := slices.IndexFunc(v.members, func(m member) bool { return m.name == name })
		if i < 0 {
			return nil
		}
		v = v.members[i].value
	}
	return v
}

// TextAt returns the string that names lead to, as [Value.Get] does; "" if there is none.
func (v *Value) TextAt(names ...string) string {
	if v = v.Get(names...); v == nil {
		return ""
	}
	s, _ := v.scalar.(string)
	return s
}

// Only makes a fault of what is no object, and of members with other names.
func (v *Value) Only(names ...string) {
	v.Each(func(name string, value *Value) {
		if !slices.Contains(names, name) {
			value.Fail("the member %.100q is not known", name)
		}
	})
}

// Exactly is [Value.Only], and makes a fault of missing members, too.
func (v *Value) Exactly(names ...string) {
	v.Only(names...)
	for _, name := range names {
		if v.Get(name) == nil && v != nil {
			v.Fail("the member %q is missing", name)
		}
	}
}
