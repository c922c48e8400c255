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

// systemPolicy is the policy of the machine.
const systemPolicy = "/etc/containers/policy.json"

// maxPolicy bounds the bytes of a policy.
const maxPolicy = 1 << 20

// Policy decides which images are accepted. A nil Policy accepts all.
type Policy struct{ parts []part }

// part is a file or a list of keys. An image must meet the requirements of all parts.
type part struct {
	name string
	file *policy.Policy // nil for a list of keys
	keys *policy.Rule   // nil for a file
}

// PolicyError says that a policy, or a file of keys, cannot be read. It matches
// [errkind.Denied], because no image is accepted then.
type PolicyError struct {
	File string
	Err  error
}

func (e *PolicyError) Error() string { return fmt.Sprintf("policy %s: %v", e.File, e.Err) }

// Unwrap returns the cause and [errkind.Denied].
func (e *PolicyError) Unwrap() []error { return []error{errkind.Denied, e.Err} }

// ReadFile reads a policy in the format of containers-policy.json(5), of at most 1 MiB.
// The error is a [*PolicyError]. Files of keys that it names are read by [Policy.Judge].
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

// Usual reads the policy of this user, ~/.config/containers/policy.json, or else of this
// machine, /etc/containers/policy.json. It returns nil if neither exists. A user's policy
// must belong to the user or to root. The error is a [*PolicyError].
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

// ByKeys returns the policy that asks for a signature of every image by one of the keys
// in the files, whatever name the signature has. A file has one or more public keys in
// PEM. The error is a [*PolicyError].
func ByKeys(files ...string) (*Policy, error) {
	p := part{name: "the keys that were named", keys: &policy.Rule{Requirements: []*policy.Requirement{policy.ByKeys(files)}}}
	if _, err := p.keys.Requirements[0].Keys(); err != nil {
		return nil, &PolicyError{p.name, err}
	}
	return &Policy{[]part{p}}, nil
}

// And returns the policy that accepts what both accept.
func (p *Policy) And(other *Policy) *Policy {
	switch {
	case p == nil:
		return other
	case other == nil:
		return p
	}
	return &Policy{slices.Concat(p.parts, other.parts)}
}

// demand is a requirement with its keys, and where the policy asks for it.
type demand struct {
	*policy.Requirement
	policy string
	rule   *policy.Rule
	keys   []*keys.Key
}

// demands returns all requirements that an image must meet.
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

// nameOf returns the name of ref by which policies know images.
func nameOf(ref registry.Reference) *policy.Name {
	n := &policy.Name{Transport: string(ref.Transport()), Path: ref.Path(), Tag: ref.Tag()}
	if ref.Transport() == registry.Docker {
		n.Image = &shortname.Name{Host: ref.Host(), Repository: ref.Repository(), Tag: ref.Tag(), Digest: ref.Digest()}
	}
	return n
}

// Asks is what a policy asks of one image.
type Asks struct {
	// Nothing says that any image of that name is accepted.
	Nothing bool
	// Policy is the file that decides, and Line and Scope where in it. For a list of
	// keys Policy is "the keys that were named". Of several parts the last is named.
	Policy string
	Line   int
	Scope  string
	// Names says that it restricts the name in the signature. Bundles, which have no
	// name, do not meet that.
	Names bool
	// Digest is a digest over all requirements and their keys. An image that has met
	// them once meets them as long as Digest stays the same.
	Digest digest.Digest
}

// Asks returns what the policy asks of ref. It reads the keys and sends no request. The
// error is a [*PolicyError].
func (p *Policy) Asks(ref registry.Reference) (Asks, error) {
	list, err := p.demands(nameOf(ref))
	if err != nil {
		return Asks{}, err
	}
	return asks(list), nil
}

// asks sums up demands.
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
