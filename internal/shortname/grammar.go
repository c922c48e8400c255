// SPDX-License-Identifier: Apache-2.0

package shortname

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// The grammar is that of github.com/distribution/reference, to which
// [TestGrammar] holds it. That package compiles its regular expressions whenever
// a process starts, even one that reads no name.

const (
	lower    = "abcdefghijklmnopqrstuvwxyz0123456789"
	letters  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + lower
	maxName  = 255 // bytes of a repository's name
	maxTag   = 128
	hub      = "docker.io"
	oldHub   = "index.docker.io"
	official = "library/"
)

var errFormat = errors.New("invalid reference format")

// read takes a name apart. It completes the host, and the repository of an
// official image, but no tag.
func read(name string) (Name, error) {
	if len(name) == 64 && consists(name, "abcdef0123456789") {
		return Name{}, fmt.Errorf("invalid repository name (%s), cannot specify 64-byte hexadecimal strings", name)
	}
	host, rest := splitHost(name)
	rest, pin, pinned := strings.Cut(rest, "@")
	repository, tag, tagged := strings.Cut(rest, ":")
	switch {
	case strings.ToLower(repository) != repository:
		return Name{}, fmt.Errorf("%w: repository name (%s) must be lowercase", errFormat, repository)
	case !isRepository(repository) || tagged && !isTag(tag):
		return Name{}, errFormat
	}
	n := Name{Host: host, Repository: repository, Tag: tag}
	if !isHost(host) {
		// As the grammar has it, a first part that is no host is a part of the name.
		if !isComponent(host) {
			return Name{}, errFormat
		}
		n.Host, n.Repository = "", host+"/"+repository
	}
	if len(n.Repository) > maxName {
		return Name{}, fmt.Errorf("repository name must not be more than %d characters", maxName)
	}
	if pinned {
		var err error
		if n.Digest, err = digest.Parse(pin); err != nil {
			return Name{}, err
		}
	}
	return n, nil
}

// splitHost cuts the host from a name. What stands before the first slash is a
// host if no part of a repository's name at Docker Hub looks like it.
func splitHost(name string) (host, rest string) {
	host, rest, found := strings.Cut(name, "/")
	switch {
	case !found:
		return hub, official + name
	case host == oldHub:
		host = hub
	case host != "localhost" && !strings.ContainsAny(host, ".:") && strings.ToLower(host) == host:
		return hub, name
	}
	if host == hub && !strings.Contains(rest, "/") {
		rest = official + rest
	}
	return host, rest
}

// isHost knows a host's name or address, with or without a port.
func isHost(s string) bool {
	var port string
	var hasPort bool
	if inner, found := strings.CutPrefix(s, "["); found {
		address, after, closed := strings.Cut(inner, "]")
		if !closed || !consists(address, "abcdefABCDEF0123456789:") {
			return false
		}
		port, hasPort = strings.CutPrefix(after, ":")
		return after == "" || hasPort && consists(port, "0123456789")
	}
	s, port, hasPort = strings.Cut(s, ":")
	for label := range strings.SplitSeq(s, ".") {
		if !consists(label, letters+"-") || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return !hasPort || consists(port, "0123456789")
}

// isRepository knows the name of a repository below its host.
func isRepository(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if !isComponent(part) {
			return false
		}
	}
	return true
}

// isComponent knows what may stand between two slashes: small letters and
// digits, between which are single separators.
func isComponent(s string) bool {
	for s != "" {
		after := strings.TrimLeft(s, lower)
		if after == s {
			return false
		}
		if after == "" {
			return true
		}
		s = strings.TrimLeft(after, "._-")
		switch separator := after[:len(after)-len(s)]; {
		case separator == "." || separator == "_" || separator == "__" || consists(separator, "-"):
		default:
			return false
		}
	}
	return false
}

// isTag knows a tag.
func isTag(s string) bool {
	return len(s) <= maxTag && consists(s, letters+"_.-") && s[0] != '.' && s[0] != '-'
}

// consists says that s is not empty and all its bytes are in set.
func consists(s, set string) bool { return s != "" && strings.Trim(s, set) == "" }
