// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/storageconf"
)

func TestRead(t *testing.T) {
	const extra = "/etc/containers/storage.conf"
	for _, c := range []struct {
		name   string
		uid    int
		env    map[string]string
		files  map[string]string // under the root of the machine
		roots  []string
		stores []string
		edit   string
		exists bool
		fails  bool
	}{
		{name: "root, nothing there", roots: []string{"/var/lib/containers/storage"}, edit: extra},
		{
			name: "root", files: map[string]string{extra: "[storage]\ndriver='overlay'\ngraphroot='/data/graph'\n[storage.options]\nadditionalimagestores=['/a', '/b/']\n"},
			roots: []string{"/var/lib/containers/storage", "/data/graph"}, stores: []string{"/a", "/b"}, edit: extra, exists: true,
		},
		{
			name: "root, drop-ins and the distribution's file",
			files: map[string]string{
				"/usr/share/containers/storage.conf": "[storage.options]\nadditionalimagestores=['/u']\n",
				extra + ".d/10-x.conf":               "[storage.options]\nadditionalimagestores=['/x', {append=true}]\n",
			},
			roots: []string{"/var/lib/containers/storage"}, stores: []string{"/u", "/x"}, edit: extra,
		},
		{
			name: "a user", uid: 1000, env: map[string]string{"HOME": "/h"},
			files: map[string]string{extra: "[storage]\nrootless_storage_path='/users/$UID/$USER'\n"},
			roots: []string{"/h/.local/share/containers/storage", "/users/1000/"}, edit: "/h/.config/containers/storage.conf",
		},
		{
			name: "a user with directories of his own", uid: 1000, env: map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d"},
			roots: []string{"/d/containers/storage"}, edit: "/c/containers/storage.conf",
		},
		{
			name: "one file by the environment", env: map[string]string{"CONTAINERS_STORAGE_CONF": "/nowhere/s.conf"},
			files: map[string]string{extra: "[storage]\ngraphroot='/data/graph'\n"},
			roots: []string{"/var/lib/containers/storage"}, edit: "/nowhere/s.conf",
		},
		{name: "no TOML", files: map[string]string{extra: "[storage\n"}, fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			system := t.TempDir()
			for name, content := range c.files {
				path := filepath.Join(system, name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			conf, err := storageconf.Read(storageconf.Options{UID: c.uid, System: system, Getenv: func(name string) string { return c.env[name] }})
			if (err != nil) != c.fails {
				t.Fatalf("error %v, want any: %v", err, c.fails)
			}
			if c.fails {
				return
			}
			var roots []string
			for _, root := range conf.GraphRoots {
				roots = append(roots, strings.TrimPrefix(root, system))
			}
			if !slices.Equal(roots, c.roots) || !slices.Equal(conf.ImageStores, c.stores) {
				t.Errorf("roots %q, stores %q; want %q, %q", roots, conf.ImageStores, c.roots, c.stores)
			}
			if got := strings.TrimPrefix(conf.File, system); got != c.edit || conf.Exists != c.exists {
				t.Errorf("file %s, exists %v; want %s, %v", got, conf.Exists, c.edit, c.exists)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	for _, c := range []struct {
		name string
		conf storageconf.Conf
		want string
	}{
		{"there", storageconf.Conf{Exists: true, ImageStores: []string{"/s"}}, ""},
		{"a file without", storageconf.Conf{Exists: true}, "[storage.options]\nadditionalimagestores = [\"/s\"]\n"},
		{"a file with another", storageconf.Conf{Exists: true, ImageStores: []string{"/o"}}, "[storage.options]\nadditionalimagestores = [\"/o\", \"/s\"]\n"},
		{"no file", storageconf.Conf{}, "[storage]\ndriver = \"overlay\"\nrunroot = \"/run/containers/storage\"\ngraphroot = \"/var/lib/containers/storage\"\n[storage.options]\nadditionalimagestores = [\"/s\"]\n"},
	} {
		if got := c.conf.Missing("/s/"); strings.ReplaceAll(got, "/s/", "/s") != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}
