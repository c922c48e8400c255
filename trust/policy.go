// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/shortname"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/trust/internal/keys"
	"github.com/layerctl/layerctl/trust/internal/policy"
)

// systemPolicy is where a machine's policy is; a user's is
// containers/policy.json below ~/.config.
const systemPolicy = "/etc/containers/policy.json"

const maxPolicy = 1 << 20

// Policy says which images are let in. nil lets all in.
type Policy struct{ parts []part }

// part is one source of requirements; all must be met.
type part struct {
	name string
	file *policy.Policy // nil for keys alone
	keys *policy.Rule
}

// PolicyError says that a policy, or a file of keys, cannot be read. It
// matches [errkind.Denied]: nothing is let in by it.
type PolicyError struct {
	File string
	Err  error
}

func (e *PolicyError) Error() string { return fmt.Sprintf("policy %s: %v", e.File, e.Err) }

// Unwrap is the cause, and that nothing is let in.
func (e *PolicyError) Unwrap() []error { return []error{errkind.Denied, e.Err} }

// ReadFile reads a policy.
func ReadFile(path string) (*Policy, error) {
	raw, err := fsat.ReadNamed(path, maxPolicy)
	if err != nil {
		return nil, &PolicyError{path, err}
	}
	return parse(raw, path)
}

func parse(raw []byte, name string) (*Policy, error) {
	file, err := policy.Parse(raw)
	if err != nil {
		return nil, &PolicyError{name, err}
	}
	return &Policy{[]part{{name: name, file: file}}}, nil
}

// Usual reads the policy of this user, or else of this machine. It is nil where
// there is neither. One that another user left in the home directory is refused.
func Usual() (*Policy, error) {
	if home := os.Getenv("HOME"); filepath.IsAbs(home) {
		path := filepath.Join(home, ".config", "containers", "policy.json")
		fi, err := os.Stat(path)
		if err == nil {
			if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
				return nil, &PolicyError{path, fmt.Errorf("it belongs to user %d", st.Uid)}
			}
			return ReadFile(path)
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return nil, &PolicyError{path, err}
		}
	}
	if _, err := os.Stat(systemPolicy); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return ReadFile(systemPolicy)
}

// ByKeys is the policy that asks of every image that one of the keys in the
// files has signed it, whatever the signature calls the image. A file may hold
// several keys as PEM.
func ByKeys(files ...string) (*Policy, error) {
	p := part{name: "the keys that were named", keys: &policy.Rule{Requirements: []*policy.Requirement{policy.ByKeys(files)}}}
	if _, err := p.keys.Requirements[0].Keys(); err != nil {
		return nil, &PolicyError{p.name, err}
	}
	return &Policy{[]part{p}}, nil
}

// And is the policy that lets in what both do.
func (p *Policy) And(other *Policy) *Policy {
	switch {
	case p == nil:
		return other
	case other == nil:
		return p
	}
	return &Policy{slices.Concat(p.parts, other.parts)}
}

// demand is one requirement of a rule with the keys that meet it.
type demand struct {
	*policy.Requirement
	policy string
	rule   *policy.Rule
	keys   []*keys.Key
}

// demands are all requirements that an image must meet.
func (p *Policy) demands(name *policy.Name) ([]*demand, error) {
	if p == nil {
		return nil, nil
	}
	var list []*demand
	for _, part := range p.parts {
		rule := part.keys
		if part.file != nil {
			rule = part.file.For(name)
		}
		for _, r := range rule.Requirements {
			d := &demand{Requirement: r, policy: part.name, rule: rule}
			if r.Kind == policy.Signed {
				var err error
				if d.keys, err = r.Keys(); err != nil {
					return nil, &PolicyError{part.name, fmt.Errorf("line %d: %w", r.Line, err)}
				}
			}
			list = append(list, d)
		}
	}
	return list, nil
}

// nameOf is ref as policies know images.
func nameOf(ref registry.Reference) *policy.Name {
	n := &policy.Name{Transport: string(ref.Transport()), Path: ref.Path(), Tag: ref.Tag()}
	if ref.Transport() == registry.Docker {
		n.Image = &shortname.Name{Host: ref.Host(), Repository: ref.Repository(), Tag: ref.Tag(), Digest: ref.Digest()}
	}
	return n
}

// Asks is what a policy asks of one image.
type Asks struct {
	// Nothing says that every image of that name is let in.
	Nothing bool
	// Policy is the file, Line and Scope where it says so; of keys alone the
	// file is "the keys that were named". Of several files the last counts.
	Policy string
	Line   int
	Scope  string
	// Names says that it asks what the signature calls the image: a bundle, which
	// calls it nothing, does not meet that.
	Names bool
	// Digest is over all that is asked, keys included: what met it once meets it
	// as long as this is the same.
	Digest digest.Digest
}

// Asks says what is asked of ref, and asks nobody.
func (p *Policy) Asks(ref registry.Reference) (Asks, error) {
	list, err := p.demands(nameOf(ref))
	if err != nil {
		return Asks{}, err
	}
	return asks(list), nil
}

func asks(list []*demand) Asks {
	a := Asks{Nothing: true}
	hash := sha256.New()
	for _, d := range list {
		a.Nothing = a.Nothing && d.Kind == policy.Accept
		a.Names = a.Names || d.Kind == policy.Signed && !d.Identity.Any()
		a.Policy, a.Line, a.Scope = d.policy, cmp.Or(d.Line, d.rule.Line), d.rule.Scope
		fmt.Fprintf(hash, "%v\n", d.Requirement)
		for _, k := range d.keys {
			fmt.Fprintf(hash, "%s\n", k.Fingerprint())
		}
	}
	a.Digest = digest.NewDigest(digest.SHA256, hash)
	return a
}
