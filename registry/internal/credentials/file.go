// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/internal/fsat"
)

// maxFile bounds a file of credentials.
const maxFile = 1 << 20

const (
	// hub is the host of Docker Hub as references name it.
	hub = "docker.io"
	// hubKey is where docker keeps the credentials of Docker Hub.
	hubKey = "https://index.docker.io/v1/"
)

// hubNames are the other hosts that mean Docker Hub.
var hubNames = []string{"index.docker.io", "registry-1.docker.io"}

// file is the content of a config.json or an auth.json. An entry is decoded
// when it is needed, so that a broken one does not spoil the others.
type file struct {
	path    string
	content map[string]json.RawMessage // all of it
	auths   map[string]entry
	store   string            // the helper for all hosts
	helpers map[string]string // the helper for a host, by key
}

// entry is the JSON of one login.
type entry json.RawMessage

// readFile reads a file of credentials.
func readFile(path string) (*file, error) {
	raw, err := fsat.ReadNamed(path, maxFile)
	if err != nil {
		return nil, err
	}
	return parse(path, raw)
}

// parse decodes the content of a file. An empty one, which docker reads too,
// has no credentials. Errors never repeat what was read, for it is secret.
func parse(path string, raw []byte) (*file, error) {
	f := &file{path: path, content: map[string]json.RawMessage{}, auths: map[string]entry{}, helpers: map[string]string{}}
	if len(strings.TrimSpace(string(raw))) == 0 {
		return f, nil
	}
	auths, helpers := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	err := json.Unmarshal(raw, &f.content)
	for name, into := range map[string]any{"auths": &auths, "credHelpers": &helpers, "credsStore": &f.store} {
		if value, ok := f.content[name]; ok && err == nil {
			err = json.Unmarshal(value, into)
		}
	}
	if err != nil || f.content == nil {
		return nil, fmt.Errorf("%s is not in the form of docker's config.json", path)
	}
	for key, value := range auths {
		f.auths[key] = entry(value)
	}
	for key, value := range helpers {
		var name string
		if json.Unmarshal(value, &name) == nil {
			f.helpers[key] = name
		}
	}
	return f, nil
}

// keysOf are the keys of the logins that are meant for a name: the name
// itself, and then the others by which tools write it.
func (f *file) keysOf(name string) []string { return meaning(maps.Keys(f.auths), name) }

func meaning(keys func(func(string) bool), name string) []string {
	var exact, other []string
	for key := range keys {
		switch {
		case key == name:
			exact = append(exact, key)
		case canonical(key) == name:
			other = append(other, key)
		}
	}
	slices.Sort(other)
	return append(exact, other...)
}

// canonical is the host or the part of a registry that a key means. With a
// scheme, which docker once wrote, the path is that of the API. Without one
// only "v1" and "v2" are, and any other is a namespace.
func canonical(key string) string {
	name := strings.TrimRight(key, "/")
	before, after, scheme := strings.Cut(name, "://")
	if scheme && (before == "https" || before == "http") {
		name = after
	}
	host, path, _ := strings.Cut(name, "/")
	if bare := strings.TrimSuffix(host, ":443"); bare == hub || slices.Contains(hubNames, bare) {
		host = hub
	}
	if path == "" || path == "v1" || path == "v2" || scheme {
		return host
	}
	return host + "/" + path
}

// login decodes the entry.
func (e entry) login() (Login, error) {
	var kept struct{ Auth, Username, Password, IdentityToken, RegistryToken string }
	// The error of encoding/json may repeat what it read.
	if json.Unmarshal(e, &kept) != nil {
		return Login{}, errors.New("is not in the form of docker's config.json")
	}
	l := Login{kept.Username, kept.Password, kept.IdentityToken, kept.RegistryToken}
	if kept.Auth == "" {
		return l, nil
	}
	user, password, ok := decodeAuth(kept.Auth)
	if !ok && l == (Login{}) {
		return l, errors.New("has an \"auth\" that is not the base64 of USER:PASSWORD (config.json)")
	}
	if ok {
		l.Username, l.Password = user, password
	}
	return l, nil
}

func decodeAuth(text string) (user, password string, ok bool) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		raw, err = base64.RawStdEncoding.DecodeString(text)
	}
	user, password, ok = strings.Cut(string(raw), ":")
	return user, strings.Trim(password, "\x00"), ok && err == nil
}

// oneLine is s with whatever a terminal could take for a command escaped, and
// no longer than a line may be.
func oneLine(s string) string {
	const longest = 200
	cut := len(s) > longest
	s = fmt.Sprintf("%+q", s[:min(len(s), longest)])
	s = strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`)
	if cut {
		s += "…"
	}
	return s
}
