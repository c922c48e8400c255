// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// hostsTOML is https://github.com/containerd/containerd/blob/main/docs/hosts.md
type hostsTOML struct {
	Server string              `toml:"server"`
	Host   map[string]hostTOML `toml:"host"`
	hostTOML
}

type hostTOML struct {
	Capabilities []string       `toml:"capabilities"`
	CA           any            `toml:"ca"`     // string or list
	Client       any            `toml:"client"` // string or list of strings and pairs
	SkipVerify   bool           `toml:"skip_verify"`
	Header       map[string]any `toml:"header"` // string or list
	OverridePath bool           `toml:"override_path"`
}

// certsD reads Dir/HOST/hosts.toml, or Dir/_default/hosts.toml, or the
// certificates that lie there in Docker's way.
func (f Files) certsD(origin Endpoint, host string) (*Plan, error) {
	root := f.Dir
	if root == "" {
		root = "/etc/containerd/certs.d"
	}
	for _, name := range []string{portDirectory(host), host, "_default"} {
		dir := filepath.Join(root, name)
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			continue
		}
		file := filepath.Join(dir, "hosts.toml")
		raw, err := read(file)
		if err != nil {
			return nil, err
		}
		if len(raw) == 0 {
			return f.certificateDirectory(dir, name, origin)
		}
		plan, err := parseHostsTOML(string(raw), dir, origin)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return plan, nil
	}
	return nil, nil
}

// certificateDirectory is a directory without a hosts.toml: whether it has
// certificates or not, it is the one for the host, and no other is asked. One
// for all hosts that has nothing says nothing.
func (f Files) certificateDirectory(dir, name string, origin Endpoint) (*Plan, error) {
	err := readCertificates(dir, &origin, true)
	if err != nil || name == "_default" && origin.CA == nil && origin.Client == nil {
		return nil, err
	}
	return &Plan{Origin: origin}, nil
}

// portDirectory is the name where a colon cannot stand: "host_5000_".
func portDirectory(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > 0 {
		return host[:i] + "_" + host[i+1:] + "_"
	}
	return host
}

func parseHostsTOML(text, dir string, origin Endpoint) (*Plan, error) {
	var t hostsTOML
	md, err := toml.Decode(text, &t)
	if err != nil {
		return nil, plain(err)
	}
	plan := &Plan{}
	if t.Server != "" {
		if origin.URL, err = base(t.Server, t.OverridePath); err != nil {
			return nil, err
		}
	}
	if plan.Origin, err = t.apply(origin, dir); err != nil {
		return nil, err
	}
	for _, name := range hostOrder(md) {
		h := t.Host[name]
		e := Endpoint{Repository: origin.Repository}
		if e.URL, err = base(name, h.OverridePath); err != nil {
			return nil, err
		}
		if e, err = h.apply(e, dir); err != nil {
			return nil, fmt.Errorf("host %q: %w", name, err)
		}
		plan.Mirrors = append(plan.Mirrors, e)
	}
	return plan, nil
}

// hostOrder is the order in the file, which is the order to ask in.
func hostOrder(md toml.MetaData) []string {
	var names []string
	for _, k := range md.Keys() {
		if len(k) >= 2 && k[0] == "host" && !slices.Contains(names, k[1]) {
			names = append(names, k[1])
		}
	}
	return names
}

func (h hostTOML) apply(e Endpoint, dir string) (Endpoint, error) {
	e.Pull, e.Resolve = len(h.Capabilities) == 0, len(h.Capabilities) == 0
	for _, c := range h.Capabilities {
		switch strings.ToLower(c) {
		case "pull":
			e.Pull = true
		case "resolve":
			e.Resolve = true
		case "push", "referrers":
		default:
			return e, fmt.Errorf("capability %q: want pull, resolve or push", c)
		}
	}
	e.SkipVerify = h.SkipVerify
	var err error
	if e.CA, err = stringsOf(h.CA); err != nil {
		return e, fmt.Errorf("ca: %w", err)
	}
	for i, name := range e.CA {
		e.CA[i] = below(dir, name)
	}
	if e.Client, err = pairsOf(h.Client, dir); err != nil {
		return e, fmt.Errorf("client: %w", err)
	}
	for name, v := range h.Header {
		values, err := stringsOf(v)
		if err != nil {
			return e, fmt.Errorf("header %q: %w", name, err)
		}
		if e.Header == nil {
			e.Header = http.Header{}
		}
		e.Header[http.CanonicalHeaderKey(name)] = values
	}
	return e, nil
}

func stringsOf(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		var all []string
		for _, x := range v {
			s, ok := x.(string)
			if !ok {
				return nil, errors.New("want a list of strings")
			}
			all = append(all, s)
		}
		return all, nil
	}
	return nil, errors.New("want a string or a list")
}

// pairsOf reads "both.pem", ["both.pem", …] and [["cert.pem", "key.pem"], …].
func pairsOf(v any, dir string) ([]KeyPair, error) {
	list, ok := v.([]any)
	if !ok && v != nil {
		list = []any{v}
	}
	var pairs []KeyPair
	for _, x := range list {
		names, err := stringsOf(x)
		switch {
		case err != nil:
			return nil, err
		case len(names) == 1:
			names = append(names, names[0])
		case len(names) != 2:
			return nil, errors.New("want pairs of certificate and key")
		}
		if names[1] == "" {
			names[1] = names[0]
		}
		pairs = append(pairs, KeyPair{below(dir, names[0]), below(dir, names[1])})
	}
	return pairs, nil
}

func below(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}
