// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/layerctl/layerctl/trust/internal/jsontree"
)

// Policy is the content of a file.
type Policy struct {
	fallback   *Rule                       // "default"
	transports map[string]map[string]*Rule // by transport and scope
}

// Rule is what is asked of the images of one scope: they must meet all requirements.
type Rule struct {
	Line int
	// Scope is the transport and the scope, such as "docker:example.com/app"; "docker:"
	// for the whole transport, and "default" for images of no other rule.
	Scope        string
	Requirements []*Requirement
}

// maxFile bounds the bytes of a policy.
const maxFile = 1 << 20

// Parse reads a policy. Errors name the line if that is known.
func Parse(raw []byte) (*Policy, error) {
	doc, err := jsontree.Parse(raw, maxFile)
	if err != nil {
		return nil, err
	}
	doc.Only("default", "transports")
	p := &Policy{transports: map[string]map[string]*Rule{}}
	fallback := doc.Get("default")
	if fallback == nil {
		return nil, cmp.Or(doc.Err(), errors.New(`the member "default" is missing`))
	}
	p.fallback = parseRule("default", fallback)
	if transports := doc.Get("transports"); !transports.IsNull() {
		transports.Each(func(name string, scopes *jsontree.Value) { p.transports[name] = parseScopes(name, scopes) })
	}
	return p, doc.Err()
}

func parseScopes(transport string, v *jsontree.Value) map[string]*Rule {
	scopes := map[string]*Rule{}
	v.Each(func(scope string, rule *jsontree.Value) {
		if fault := scopeFault(transport, scope); scope != "" && fault != "" {
			rule.Fail("the scope %.200q %s", scope, fault)
		}
		scopes[scope] = parseRule(transport+":"+scope, rule)
	})
	return scopes
}

// scopeFault says what is wrong with a scope, for transports whose scopes are paths and
// for those that have none; "" for a valid scope.
func scopeFault(transport, scope string) string {
	switch transport {
	case "docker-archive", "tarball":
		return "is one, and this transport has none"
	case "oci", "oci-archive", "sif", "dir":
		switch {
		case !strings.HasPrefix(scope, "/"):
			return "is no absolute path"
		case scope == "/":
			return `is all of it, which is written ""`
		case transport == "dir" && filepath.Clean(scope) != scope:
			return "is no clean path"
		}
	}
	return ""
}

func parseRule(scope string, v *jsontree.Value) *Rule {
	list := v.List()
	if len(list) == 0 {
		v.Fail("the list of requirements of %.200q is empty", scope)
	}
	r := &Rule{Line: v.Line, Scope: scope}
	for _, item := range list {
		r.Requirements = append(r.Requirements, parseRequirement(item))
	}
	return r
}

// For returns the rule for an image: that of its narrowest scope, or else the default.
func (p *Policy) For(name *Name) *Rule {
	scopes, known := p.transports[name.Transport]
	if !known {
		return p.fallback
	}
	for _, scope := range name.scopes() {
		if r, ok := scopes[scope]; ok {
			return r
		}
	}
	if r, ok := scopes[""]; ok {
		return r
	}
	return p.fallback
}

// String returns the line and the scope, for messages.
func (r *Rule) String() string { return fmt.Sprintf("line %d (%s)", r.Line, r.Scope) }
