// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// registriesYAML is https://docs.k3s.io/installation/private-registry
type registriesYAML struct {
	Mirrors map[string]mirrorYAML `yaml:"mirrors"`
	Configs map[string]configYAML `yaml:"configs"`
}

type mirrorYAML struct {
	Endpoints []string          `yaml:"endpoint"`
	Rewrites  map[string]string `yaml:"rewrite"`
}

type configYAML struct {
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
}

// anyHost is the entry for every host that has none of its own.
const anyHost = "*"

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
	if _, own := y.Configs[host]; !mirrored && !own {
		m, mirrored = y.Mirrors[anyHost]
	}
	own, configured, err := y.configure(origin, host)
	if err != nil || !mirrored && !configured {
		return nil, err
	}
	repository, err := rewrite(origin.Repository, m.Rewrites)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Origin: own}
	for i, address := range m.Endpoints {
		e := Endpoint{Repository: repository, Pull: true, Resolve: true}
		if e.URL, err = endpointURL(address); err != nil {
			return nil, fmt.Errorf("endpoint of %q: %w", host, err)
		}
		same := func(other Endpoint) bool { return other.URL == e.URL }
		if slices.ContainsFunc(plan.Mirrors, same) {
			continue
		}
		name, _, _ := strings.Cut(e.address(), "/")
		if e, _, err = y.configure(e, name); err != nil {
			return nil, err
		}
		if same(own) && i == len(m.Endpoints)-1 {
			plan.Origin = e // named last, it is the origin with the rewrites
		} else {
			plan.Mirrors = append(plan.Mirrors, e)
		}
	}
	return plan, nil
}

// endpointURL is the base of an endpoint. A path is taken as it is, and a port
// of this machine without a scheme means http, as with k3s.
func endpointURL(address string) (string, error) {
	if !strings.Contains(address, "://") {
		scheme := "https://"
		if u, err := url.Parse(scheme + address); err == nil && thisMachine(u.Hostname()) && u.Port() != "" && u.Port() != "443" {
			scheme = "http://"
		}
		address = scheme + address
	}
	u, err := url.Parse(address)
	exact := err == nil && strings.TrimRight(u.Path, "/") != "" && u.Path != "/v2"
	text, err := base(address, exact)
	if scheme, rest, _ := strings.Cut(text, "://"); rest == "docker.io/v2" {
		text = scheme + "://registry-1.docker.io/v2"
	}
	return text, err
}

// thisMachine says that the name leads to the loopback device.
func thisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// configOf is what "configs" says of a host: under the name that is spoken to,
// or under that of references, or for every host.
func (y registriesYAML) configOf(host string) (configYAML, string, bool) {
	names := []string{host}
	if host == "docker.io" || host == "registry-1.docker.io" {
		names = []string{"registry-1.docker.io", "docker.io"}
	}
	for _, name := range append(names, anyHost) {
		if c, ok := y.Configs[name]; ok {
			return c, name, true
		}
	}
	return configYAML{}, "", false
}

// configure puts in what "configs" says of a host.
func (y registriesYAML) configure(e Endpoint, host string) (Endpoint, bool, error) {
	c, name, ok := y.configOf(host)
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
				return e, true, fmt.Errorf("auth of %q is not USER:PASSWORD in base64", name)
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
var repositoryName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
})

func safeRepository(name string) (string, error) {
	if len(name) > 255 || !repositoryName().MatchString(name) {
		return "", fmt.Errorf("repository %q is no name of one", name)
	}
	return name, nil
}
