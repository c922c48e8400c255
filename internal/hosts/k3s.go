// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// registriesYAML is https://docs.k3s.io/installation/private-registry
type registriesYAML struct {
	Mirrors map[string]struct {
		Endpoints []string          `yaml:"endpoint"`
		Rewrites  map[string]string `yaml:"rewrite"`
	} `yaml:"mirrors"`
	Configs map[string]struct {
		Auth *struct {
			Username      string `yaml:"username"`
			Password      string `yaml:"password"`
			Auth          string `yaml:"auth"`
			IdentityToken string `yaml:"identity_token"`
		} `yaml:"auth"`
		TLS *struct {
			CA         string `yaml:"ca_file"`
			Cert       string `yaml:"cert_file"`
			Key        string `yaml:"key_file"`
			SkipVerify bool   `yaml:"insecure_skip_verify"`
		} `yaml:"tls"`
	} `yaml:"configs"`
}

// k3s reads registries.yaml.
func (f Files) k3s(origin Endpoint, host string) (*Plan, error) {
	files := []string{f.K3s}
	if f.K3s == "" {
		files = []string{"/etc/rancher/k3s/registries.yaml", "/etc/rancher/rke2/registries.yaml"}
	}
	for _, file := range files {
		raw, err := read(file)
		if err != nil {
			return nil, err
		}
		if raw == nil {
			continue
		}
		plan, err := parseK3s(raw, origin, host)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return plan, nil
	}
	return nil, nil
}

// parseK3s returns nil where the file has nothing for the host.
func parseK3s(raw []byte, origin Endpoint, host string) (*Plan, error) {
	var y registriesYAML
	// The decoder's error may repeat a password.
	if yaml.Unmarshal(raw, &y) != nil {
		return nil, errors.New("it is not in the form of k3s's registries.yaml")
	}
	m, mirrored := y.Mirrors[host]
	if !mirrored {
		m, mirrored = y.Mirrors["*"]
	}
	own, configured, err := y.configure(origin, host)
	if err != nil || !mirrored && !configured {
		return nil, err
	}
	plan := &Plan{Origin: own}
	repository, err := rewrite(origin.Repository, m.Rewrites)
	if err != nil {
		return nil, err
	}
	for _, address := range m.Endpoints {
		e := Endpoint{Repository: repository, Pull: true, Resolve: true}
		// A path beside /v2 is meant as it is: a project of a proxy.
		u, err := url.Parse(address)
		if e.URL, err = base(address, err == nil && strings.HasPrefix(u.Path, "/v2/")); err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(strings.TrimPrefix(e.URL, "https://"), "http://")
		name, _, _ = strings.Cut(name, "/")
		if e, _, err = y.configure(e, name); err != nil {
			return nil, err
		}
		if e.URL != own.URL {
			plan.Mirrors = append(plan.Mirrors, e)
		}
	}
	return plan, nil
}

// configure puts in what "configs" says of a host.
func (y registriesYAML) configure(e Endpoint, host string) (Endpoint, bool, error) {
	c, ok := y.Configs[host]
	if !ok {
		return e, false, nil
	}
	if t := c.TLS; t != nil {
		e.SkipVerify = t.SkipVerify
		if t.CA != "" {
			e.CA = []string{t.CA}
		}
		if t.Cert != "" {
			e.Client = []KeyPair{{t.Cert, t.Key}}
		}
	}
	if a := c.Auth; a != nil {
		e.Username, e.Password, e.IdentityToken = a.Username, a.Password, a.IdentityToken
		if a.Auth != "" {
			plain, err := base64.StdEncoding.DecodeString(a.Auth)
			user, password, found := strings.Cut(string(plain), ":")
			if err != nil || !found {
				return e, true, fmt.Errorf("auth of %q is not USER:PASSWORD in base64", host)
			}
			e.Username, e.Password = user, password
		}
	}
	return e, true, nil
}

// rewrite applies the first pattern that fits, the longest first: a map has no
// order of its own.
func rewrite(repository string, rules map[string]string) (string, error) {
	patterns := make([]string, 0, len(rules))
	for p := range rules {
		patterns = append(patterns, p)
	}
	slices.SortFunc(patterns, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	for _, p := range patterns {
		re, err := regexp.Compile(p)
		if err != nil {
			return "", fmt.Errorf("rewrite %q: %w", p, err)
		}
		if re.MatchString(repository) {
			return safeRepository(re.ReplaceAllString(repository, rules[p]))
		}
	}
	return repository, nil
}

// repositoryName is the grammar of the distribution specification.
var repositoryName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

func safeRepository(name string) (string, error) {
	if len(name) > 255 || !repositoryName.MatchString(name) {
		return "", fmt.Errorf("repository %q is no name of one", name)
	}
	return name, nil
}
