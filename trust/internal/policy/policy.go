// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/layerctl/layerctl/trust/internal/jsontree"
)

// Policy is a file.
type Policy struct {
	fallback   Rule
	transports map[string]map[string]Rule // by transport and scope
}

// Rule is what is asked of the images of one scope: all of the requirements.
type Rule struct {
	Line int
	// Scope is "docker:example.com/app" and the like, "docker:" for all of a
	// transport and "default" for all that nothing else is said of.
	Scope        string
	Requirements []Requirement
}

// maxFile bounds a policy.
const maxFile = 1 << 20

// Parse reads a policy. Errors name the line where one can be named.
func Parse(raw []byte) (*Policy, error) {
	doc, err := jsontree.Parse(raw, maxFile)
	if err != nil {
		return nil, err
	}
	if err := doc.Only("default", "transports"); err != nil {
		return nil, err
	}
	p := &Policy{transports: map[string]map[string]Rule{}}
	fallback := doc.Get("default")
	if fallback == nil {
		return nil, errors.New(`the member "default" is missing`)
	}
	if p.fallback, err = parseRule("default", fallback); err != nil {
		return nil, err
	}
	transports := doc.Get("transports")
	if transports == nil || transports.IsNull() {
		return p, nil
	}
	return p, transports.Each(func(name string, scopes *jsontree.Value) (err error) {
		p.transports[name], err = parseScopes(name, scopes)
		return err
	})
}

func parseScopes(transport string, v *jsontree.Value) (map[string]Rule, error) {
	scopes := map[string]Rule{}
	return scopes, v.Each(func(scope string, rule *jsontree.Value) (err error) {
		if fault := scopeFault(transport, scope); scope != "" && fault != "" {
			return rule.Errorf("the scope %.200q %s", scope, fault)
		}
		scopes[scope], err = parseRule(transport+":"+scope, rule)
		return err
	})
}

// scopeFault says what is wrong with a scope of a transport, for those whose
// scopes are paths or none.
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

func parseRule(scope string, v *jsontree.Value) (Rule, error) {
	list, err := v.List()
	if err != nil {
		return Rule{}, err
	}
	if len(list) == 0 {
		return Rule{}, v.Errorf("the list of requirements of %.200q is empty", scope)
	}
	r := Rule{Line: v.Line, Scope: scope}
	for _, item := range list {
		requirement, err := parseRequirement(item)
		if err != nil {
			return Rule{}, err
		}
		r.Requirements = append(r.Requirements, requirement)
	}
	return r, nil
}

// For is what is asked of an image: the rule of its narrowest scope.
func (p *Policy) For(name Name) Rule {
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

// String is the scope, for messages.
func (r Rule) String() string { return fmt.Sprintf("line %d (%s)", r.Line, r.Scope) }
