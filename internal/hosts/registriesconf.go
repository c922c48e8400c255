// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// registriesConf is containers-registries.conf(5), version 2.
type registriesConf struct {
	Registries []registryConf `toml:"registry"`
}

type registryConf struct {
	Prefix             string       `toml:"prefix"`
	Location           string       `toml:"location"`
	Insecure           bool         `toml:"insecure"`
	Blocked            bool         `toml:"blocked"`
	MirrorByDigestOnly bool         `toml:"mirror-by-digest-only"`
	Mirrors            []mirrorConf `toml:"mirror"`
}

type mirrorConf struct {
	Location string `toml:"location"`
	Insecure bool   `toml:"insecure"`
	From     string `toml:"pull-from-mirror"` // all, digest-only, tag-only
}

// registriesConf reads registries.conf and its drop-ins.
func (f Files) registriesConf(origin Endpoint, host string) (*Plan, error) {
	file := f.RegistriesConf
	if file == "" {
		file = usualRegistriesConf()
	}
	dropIns, err := filepath.Glob(filepath.Join(quoteGlob(file+".d"), "*.conf"))
	if err != nil {
		return nil, err
	}
	var all []registryConf
	for _, name := range append([]string{file}, dropIns...) {
		raw, err := read(name)
		if err != nil {
			return nil, err
		}
		var c registriesConf
		if _, err := toml.Decode(string(raw), &c); err != nil {
			return nil, fmt.Errorf("%s: %w", name, plain(err))
		}
		all = append(all, c.Registries...)
	}
	plan, err := planConf(all, origin, host)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return plan, nil
}

func usualRegistriesConf() string {
	if name := os.Getenv("CONTAINERS_REGISTRIES_CONF"); name != "" {
		return name
	}
	if dir, err := os.UserConfigDir(); err == nil {
		name := filepath.Join(dir, "containers", "registries.conf")
		if _, err := os.Stat(name); err == nil {
			return name
		}
	}
	return "/etc/containers/registries.conf"
}

// planConf applies the entry with the longest prefix; of the same prefix the
// last, which is a drop-in's.
func planConf(all []registryConf, origin Endpoint, host string) (*Plan, error) {
	name := host + "/" + origin.Repository
	var best *registryConf
	longest := -1
	for i, r := range all {
		if r.Prefix == "" {
			r.Prefix = r.Location
			all[i].Prefix = r.Location
		}
		if n := match(r.Prefix, name, host); n >= 0 && n >= longest {
			best, longest = &all[i], n
		}
	}
	if best == nil {
		return nil, nil
	}
	if best.Blocked {
		return nil, fmt.Errorf("%s: %w", best.Prefix, ErrBlocked)
	}
	rest := name[longest:]
	plan := &Plan{Origin: origin}
	plan.Origin.SkipVerify = best.Insecure
	if best.Location != "" && best.Location != best.Prefix {
		var err error
		if plan.Origin, err = relocate(best.Location+rest, best.Insecure); err != nil {
			return nil, err
		}
	}
	for _, m := range best.Mirrors {
		e, err := relocate(m.Location+rest, m.Insecure)
		if err != nil {
			return nil, err
		}
		e.Resolve = m.From != "digest-only" && !best.MirrorByDigestOnly
		e.Pull = true
		plan.Mirrors = append(plan.Mirrors, e)
	}
	return plan, nil
}

// match is how much of name the prefix covers, or -1. "*.example.com" covers
// the host.
func match(prefix, name, host string) int {
	if domain, ok := strings.CutPrefix(prefix, "*"); ok {
		if strings.HasPrefix(domain, ".") && strings.HasSuffix(host, domain) {
			return len(host)
		}
		return -1
	}
	if prefix == "" || !strings.HasPrefix(name, prefix) {
		return -1
	}
	if rest := name[len(prefix):]; rest != "" && rest[0] != '/' {
		return -1
	}
	return len(prefix)
}

// relocate makes "mirror.example/hub/library/alpine" an endpoint.
func relocate(name string, insecure bool) (Endpoint, error) {
	host, repository, _ := strings.Cut(name, "/")
	if host == "" || slices.Contains([]string{"http:", "https:"}, host) {
		return Endpoint{}, fmt.Errorf("location %q: want HOST[:PORT][/PATH]", name)
	}
	repository, err := safeRepository(repository)
	if err != nil {
		return Endpoint{}, err
	}
	url, err := base(host, false)
	if host == "docker.io" {
		url = defaultURL(host)
	}
	return Endpoint{URL: url, Repository: repository, Pull: true, Resolve: true, SkipVerify: insecure}, err
}
