// SPDX-License-Identifier: Apache-2.0

// Package jsontree reads JSON of which no byte may mean two things: no member
// twice, none in another case, no data behind, no bytes that are no UTF-8. Each
// value knows its line.
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

// Value is one value of a document: an object, a list, a string or another
// scalar. What is wrong with one, [Value.Err] of any tells in the end; nil is a
// value that is not there, of which nothing is wrong.
type Value struct {
	Line    int // where it begins, the first is 1
	members []member
	items   []*Value
	scalar  any    // string, json.Number, bool, nil; or one of the delimiters { and [
	fault   *error // the first of the document
}

type member struct {
	name  string
	value *Value
}

// What a document may hold; the formats that are read here nest six deep.
const (
	maxDepth  = 24
	maxValues = 100_000
)

// Fail says what is wrong with the value; the error names the line.
func (v *Value) Fail(format string, args ...any) {
	if *v.fault == nil {
		*v.fault = errorAt(v.Line, format, args...)
	}
}

// Err is the first thing that was wrong in the document.
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
	first   error // see Value
	raw     []byte
	offset  int // up to which lines are counted
	line    int
	values  int
}

func (p *parser) fault(format string, args ...any) error {
	return errorAt(p.line, format, args...)
}

// token is the next token; the line is then that of its end.
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

// Text is a string.
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

// IsNull says that it is null, or not there.
func (v *Value) IsNull() bool { return v == nil || v.scalar == nil }

// Integer is a whole number.
func (v *Value) Integer() {
	n, _ := v.scalar.(json.Number)
	if f, err := n.Float64(); err != nil || f != float64(int64(f)) {
		v.Fail("it is no whole number")
	}
}

// List is an array.
func (v *Value) List() []*Value {
	if v == nil {
		return nil
	}
	if v.scalar != json.Delim('[') {
		v.Fail("it is no list")
	}
	return v.items
}

// Each calls use for each member of an object, in their order.
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

// Get is a member of an object; nil where there is none of that name, and
// where this is no object.
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

// TextAt is the string that is reached by members; "" where there is none.
func (v *Value) TextAt(names ...string) string {
	if v = v.Get(names...); v == nil {
		return ""
	}
	s, _ := v.scalar.(string)
	return s
}

// Only refuses what is no object and an object with other members than these.
func (v *Value) Only(names ...string) {
	v.Each(func(name string, value *Value) {
		if !slices.Contains(names, name) {
			value.Fail("the member %.100q is not known", name)
		}
	})
}

// Exactly is Only, where each of them must be there.
func (v *Value) Exactly(names ...string) {
	v.Only(names...)
	for _, name := range names {
		if v.Get(name) == nil && v != nil {
			v.Fail("the member %q is missing", name)
		}
	}
}
