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

// maxFile bounds the bytes of a file of credentials.
const maxFile = 1 << 20

const (
	// hub is the host of Docker Hub as references name it.
	hub = "docker.io"
	// hubKey is the key under which docker keeps the credentials of Docker Hub.
	hubKey = "https://index.docker.io/v1/"
)

// hubNames lists other hosts that mean Docker Hub.
var hubNames = []string{"index.docker.io", "registry-1.docker.io"}

// file is the content of a config.json or an auth.json. An entry is decoded when it is
// needed, so that the others can be read beside a broken one.
type file struct {
	path    string
	content map[string]json.RawMessage // the whole file, by its top-level keys
	auths   map[string]entry           // "auths"
	store   string                     // "credsStore": the helper for all hosts
	helpers map[string]string          // "credHelpers": the helper for a host, by key
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

// parse decodes the content of a file. An empty file, which docker accepts too, has no
// credentials. Errors never repeat the content, which is secret.
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

// keysOf returns the keys of the entries for a name: the name itself first, then other
// ways in which tools write it.
func (f *file) keysOf(name string) []string { return meaning(maps.Keys(f.auths), name) }

// meaning returns those of the keys that mean a name, in the order of [file.keysOf].
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

// canonical returns the host, or HOST/NAMESPACE, that a key means. In a key with a
// scheme, as docker once wrote them, any path is that of the API; in others only "v1"
// and "v2" are, and any other path is a namespace.
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

// login decodes the entry. Its error is the end of a sentence that names the entry.
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

// decodeAuth reads the base64 of USER:PASSWORD, with or without padding. Zeros at the
// end of the password, which some tools write, are cut.
func decodeAuth(text string) (user, password string, ok bool) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		raw, err = base64.RawStdEncoding.DecodeString(text)
	}
	user, password, ok = strings.Cut(string(raw), ":")
	return user, strings.Trim(password, "\x00"), ok && err == nil
}
