// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// systemRegistriesConf is containers' own file; drop-ins stand beside it.
const systemRegistriesConf = "/etc/containers/registries.conf"

// registriesConf is containers-registries.conf(5). Keys that are not here, such
// as those for short names, say nothing about hosts.
type registriesConf struct {
	Registries []registryConf `toml:"registry"`
	Search     []string       `toml:"unqualified-search-registries"`
	// V1 is the form that came before, which may not be mixed with the other.
	V1 struct {
		Search   listV1 `toml:"search"`
		Insecure listV1 `toml:"insecure"`
		Block    listV1 `toml:"block"`
	} `toml:"registries"`
}

type listV1 struct {
	Registries []string `toml:"registries"`
}

type registryConf struct {
	Prefix             string       `toml:"prefix"`
	Location           string       `toml:"location"`
	Insecure           boolean      `toml:"insecure"`
	Blocked            boolean      `toml:"blocked"`
	MirrorByDigestOnly boolean      `toml:"mirror-by-digest-only"`
	Mirrors            []mirrorConf `toml:"mirror"`
}

type mirrorConf struct {
	Location string  `toml:"location"`
	Insecure boolean `toml:"insecure"`
	From     string  `toml:"pull-from-mirror"` // all, digest-only, tag-only
}

// boolean is a bool whose key is told where the value is none.
type boolean bool

// UnmarshalTOML implements toml.Unmarshaler.
func (b *boolean) UnmarshalTOML(v any) error {
	x, ok := v.(bool)
	*b = boolean(x)
	if !ok {
		return errors.New("want true or false")
	}
	return nil
}

// registries are the tables of all files, no two of the same prefix.
type registries []registryConf

// loadRegistriesConf reads the file and its drop-ins, in the order in which
// containers reads them: a later table replaces an earlier one of the same
// prefix.
func (f Files) loadRegistriesConf() (registries, error) {
	file, dropIns := f.RegistriesConf, []string{f.RegistriesConf + ".d"}
	if file == "" {
		file, dropIns = usualRegistriesConf()
	}
	tables, err := readRegistriesConf(file, false)
	if err != nil {
		return nil, err
	}
	for _, dir := range dropIns {
		names, err := confFiles(dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			more, err := readRegistriesConf(name, true)
			if err != nil {
				return nil, err
			}
			tables = tables.replacedBy(more)
		}
	}
	return tables, nil
}

// usualRegistriesConf is the file that containers reads where none is named,
// and the directories of its drop-ins.
func usualRegistriesConf() (file string, dropIns []string) {
	file, dropIns = systemRegistriesConf, []string{systemRegistriesConf + ".d"}
	if dir, err := os.UserConfigDir(); err == nil {
		own := filepath.Join(dir, "containers", "registries.conf")
		dropIns = append(dropIns, own+".d")
		if _, err := os.Stat(own); err == nil {
			file = own
		}
	}
	if name := os.Getenv("CONTAINERS_REGISTRIES_CONF"); name != "" {
		file = name
		dropIns = append(dropIns, name+".d")
	}
	return file, dropIns
}

// confFiles are the files of a drop-in directory, by name.
func confFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if missing(err) {
		return nil, nil
	}
	var names []string
	for _, e := range entries { // sorted
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".conf") {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	return names, err
}

// replacedBy adds the tables, in place of those of the same prefix.
func (all registries) replacedBy(more registries) registries {
	kept := slices.DeleteFunc(slices.Clone(all), func(old registryConf) bool {
		return slices.ContainsFunc(more, func(r registryConf) bool { return r.Prefix == old.Prefix })
	})
	return append(kept, more...)
}

// readRegistriesConf reads one file. A drop-in must be in the second form.
func readRegistriesConf(name string, dropIn bool) (registries, error) {
	raw, err := read(name)
	if err != nil {
		return nil, err
	}
	tables, err := parseRegistriesConf(string(raw), dropIn)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return tables, nil
}

func parseRegistriesConf(text string, dropIn bool) (registries, error) {
	var c registriesConf
	if _, err := toml.Decode(text, &c); err != nil {
		return nil, plain(err)
	}
	v1 := slices.Concat(c.V1.Search.Registries, c.V1.Insecure.Registries, c.V1.Block.Registries)
	if len(v1) > 0 && (dropIn || len(c.Registries)+len(c.Search) > 0) {
		return nil, errors.New("[registries.*] is of version 1, and this file is of version 2")
	}
	for _, name := range v1 {
		if !slices.ContainsFunc(c.Registries, func(r registryConf) bool { return r.Location == name }) {
			c.Registries = append(c.Registries, registryConf{
				Location: name,
				Insecure: boolean(slices.Contains(c.V1.Insecure.Registries, name)),
				Blocked:  boolean(slices.Contains(c.V1.Block.Registries, name)),
			})
		}
	}
	for i := range c.Registries {
		if err := c.Registries[i].check(); err != nil {
			return nil, err
		}
	}
	return c.Registries, agree(c.Registries)
}

// check brings the names of a table into one form, and refuses what containers
// refuses.
func (r *registryConf) check() (err error) {
	if r.Prefix == "" && r.Location == "" {
		return errors.New("a [[registry]] has neither prefix nor location")
	}
	if r.Location, err = location("location", r.Location); err != nil {
		return err
	}
	if r.Prefix, err = location("prefix", r.Prefix); err != nil {
		return err
	}
	if r.Prefix == "" {
		r.Prefix = r.Location
	}
	if domain := strings.TrimPrefix(r.Prefix, "*."); strings.Contains(domain, "*") || domain == "" {
		return fmt.Errorf("prefix %q: want HOST[:PORT][/PATH] or *.DOMAIN", r.Prefix)
	}
	for i := range r.Mirrors {
		if err := r.Mirrors[i].check(r); err != nil {
			return fmt.Errorf("mirror of %q: %w", r.Prefix, err)
		}
	}
	return nil
}

func (m *mirrorConf) check(of *registryConf) (err error) {
	if m.Location, err = location("location", m.Location); err != nil {
		return err
	}
	switch {
	case m.Location == "":
		return errors.New("it has no location")
	case !slices.Contains([]string{"", "all", "digest-only", "tag-only"}, m.From):
		return fmt.Errorf("pull-from-mirror %q: want all, digest-only or tag-only", m.From)
	case m.From != "" && bool(of.MirrorByDigestOnly):
		return errors.New("pull-from-mirror and the registry's mirror-by-digest-only exclude each other")
	}
	return nil
}

// location checks a name of the form HOST[:PORT][/PATH].
func location(key, name string) (string, error) {
	name = strings.TrimRight(name, "/")
	host, path, _ := strings.Cut(name, "/")
	if strings.Contains(name, "://") || strings.ContainsAny(name, " \t\n\\") || strings.Contains(host, "@") || strings.HasPrefix(name, "/") {
		return "", fmt.Errorf("%s %q: want HOST[:PORT][/PATH], without a scheme or a user", key, name)
	}
	if path == "" {
		return strings.ToLower(host), nil
	}
	return strings.ToLower(host) + "/" + path, nil
}

// agree refuses tables of one file that contradict each other.
func agree(tables registries) error {
	for i, a := range tables {
		for _, b := range tables[:i] {
			same := a.Location != "" && a.Location == b.Location
			switch {
			case same && a.Blocked != b.Blocked:
				return fmt.Errorf("registry %q: blocked is both true and false", a.Location)
			case same && a.Insecure != b.Insecure:
				return fmt.Errorf("registry %q: insecure is both true and false", a.Location)
			case a.Prefix == b.Prefix && !reflect.DeepEqual(a, b):
				return fmt.Errorf("prefix %q has two tables that differ", a.Prefix)
			}
		}
	}
	return nil
}
