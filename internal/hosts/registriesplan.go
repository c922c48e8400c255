// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"fmt"
	"strings"
)

// plan is what the table for the repository says. byDigest says that the
// caller knows a digest and no tag.
func (all registries) plan(origin Endpoint, host string, byDigest bool) (*Plan, error) {
	name := strings.ToLower(host) + "/" + origin.Repository
	table, covered := all.find(name)
	if table == nil {
		return nil, nil
	}
	rest := name[covered:]
	plan := &Plan{Origin: origin}
	plan.Origin.SkipVerify = bool(table.Insecure)
	if table.Location != "" && table.Location != table.Prefix {
		var err error
		if plan.Origin, err = relocate(table.Location+rest, bool(table.Insecure)); err != nil {
			return nil, err
		}
	}
	for _, m := range table.Mirrors {
		digests := m.From != "tag-only"
		tags := m.From != "digest-only" && !bool(table.MirrorByDigestOnly)
		if byDigest && !digests || !byDigest && !tags {
			continue
		}
		e, err := relocate(m.Location+rest, bool(m.Insecure) || all.insecure(m.Location+rest))
		if err != nil {
			return nil, fmt.Errorf("mirror of %q: %w", table.Prefix, err)
		}
		plan.Mirrors = append(plan.Mirrors, e)
	}
	return plan, nil
}

// find returns the table with the longest prefix by its text, and how much of
// the name the prefix covers.
func (all registries) find(name string) (table *registryConf, covered int) {
	for i, r := range all {
		if n := match(r.Prefix, name); n >= 0 && (table == nil || len(r.Prefix) > len(table.Prefix)) {
			table, covered = &all[i], n
		}
	}
	return table, covered
}

// match is how much of the name the prefix covers, or -1. "*.example.com"
// covers the host of "reg.example.com:5000/x", but not its port.
func match(prefix, name string) int {
	end := len(prefix)
	if domain, ok := strings.CutPrefix(prefix, "*"); ok {
		at := strings.Index(name, domain)
		if at < 0 || strings.Contains(name[:at], "/") {
			return -1
		}
		end = at + len(domain)
	} else if !strings.HasPrefix(name, prefix) {
		return -1
	}
	if end < len(name) && !strings.ContainsRune(":/@", rune(name[end])) {
		return -1
	}
	return end
}

// insecure says whether the table for the name accepts any certificate.
func (all registries) insecure(name string) bool {
	table, _ := all.find(name)
	return table != nil && bool(table.Insecure)
}

// blocks returns the prefix that forbids the name, or "". A host is forbidden
// under each name that it goes by: with and without the port of https, and
// Docker Hub under both of its names.
func (all registries) blocks(name string) string {
	host, repository, _ := strings.Cut(name, "/")
	host = strings.ToLower(host)
	names := []string{host}
	switch strings.TrimSuffix(host, ":443") {
	case "docker.io":
		names = append(names, "registry-1.docker.io")
	case "registry-1.docker.io":
		names = append(names, "docker.io")
	}
	for _, h := range names {
		if table, _ := all.find(h + "/" + repository); table != nil && table.Blocked {
			return table.Prefix
		}
		table, _ := all.find(h + ":443/" + repository)
		if !strings.Contains(h, ":") && table != nil && bool(table.Blocked) && strings.Contains(table.Prefix, ":443") {
			return table.Prefix
		}
	}
	// A prefix may name one tag or digest. Which is wanted is not known here,
	// so that a forbidden one forbids the repository.
	for _, r := range all {
		if rest, ok := strings.CutPrefix(r.Prefix, host+"/"+repository); ok && bool(r.Blocked) && rest != "" && (rest[0] == ':' || rest[0] == '@') {
			return r.Prefix
		}
	}
	return ""
}

// allowed takes out of the plan what the tables forbid, whoever planned it.
func (all registries) allowed(plan Plan, name string) (Plan, error) {
	if prefix := all.blocks(name); prefix != "" {
		return Plan{}, fmt.Errorf("registry %s: %w", prefix, ErrBlocked)
	}
	mirrors := plan.Mirrors
	plan.Mirrors = nil
	for _, m := range mirrors {
		if all.blocks(m.name()) == "" {
			plan.Mirrors = append(plan.Mirrors, m)
		}
	}
	if prefix := all.blocks(plan.Origin.name()); prefix != "" {
		if len(plan.Mirrors) == 0 {
			return Plan{}, fmt.Errorf("registry %s: %w", prefix, ErrBlocked)
		}
		plan.Origin.Pull, plan.Origin.Resolve = false, false
	}
	return plan, nil
}

// name is the repository as a reference would name it.
func (e Endpoint) name() string {
	host, path, _ := strings.Cut(e.address(), "/")
	path = strings.Trim(strings.TrimPrefix("/"+path, "/v2"), "/")
	if path == "" {
		return host + "/" + e.Repository
	}
	return host + "/" + path + "/" + e.Repository
}

// address is the URL without its scheme.
func (e Endpoint) address() string {
	_, address, _ := strings.Cut(e.URL, "://")
	return address
}

// relocate makes "mirror.example/hub/library/alpine" an endpoint.
func relocate(name string, insecure bool) (Endpoint, error) {
	host, repository, _ := strings.Cut(name, "/")
	repository, err := safeRepository(repository)
	if err != nil {
		return Endpoint{}, fmt.Errorf("location %q: %w", name, err)
	}
	url, err := base(host, false)
	if err != nil {
		return Endpoint{}, fmt.Errorf("location %q: %w", name, err)
	}
	if host == "docker.io" {
		url = defaultURL(host)
	}
	return Endpoint{URL: url, Repository: repository, Pull: true, Resolve: true, SkipVerify: insecure}, nil
}
