// SPDX-License-Identifier: Apache-2.0

package storageconf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/layerctl/layerctl/internal/fsat"
)

// maxFile is how large a file may be.
const maxFile = 1 << 20

// environment names the one file that counts instead of all others.
const environment = "CONTAINERS_STORAGE_CONF"

// Options say for whom the files are read.
type Options struct {
	// UID is the user's, outside of any user namespace; 0 is root.
	UID int
	// Getenv is os.Getenv, or a test's.
	Getenv func(string) string
	// System is the root of the machine's files; "" means "/".
	System string
}

// Conf is what the files say together.
type Conf struct {
	// File is the one that the user changes, and Exists whether it is there.
	File   string
	Exists bool
	// GraphRoots are where engines keep containers and images of their own.
	GraphRoots []string
	// ImageStores are the additional image stores.
	ImageStores []string
	user        bool
}

// file is a storage.conf. Other keys say nothing about places.
type file struct {
	Storage struct {
		GraphRoot string `toml:"graphroot"`
		Rootless  string `toml:"rootless_storage_path"`
		Options   struct {
			// Newer versions take a table beside the names: {append=true}.
			ImageStores []any `toml:"additionalimagestores"`
		} `toml:"options"`
	} `toml:"storage"`
}

// Read reads the files of a user, or root's. Those that do not exist are passed
// over, also by users who may not read them.
func Read(o Options) (Conf, error) {
	user := o.UID != 0
	c := Conf{user: user, File: o.System + "/etc/containers/storage.conf"}
	files := o.dropIns(o.System+"/usr/share/containers/storage.conf", c.File)
	root := o.System + "/var/lib/containers/storage"
	if user {
		c.File = filepath.Join(o.dir("XDG_CONFIG_HOME", ".config"), "containers", "storage.conf")
		files = append(files, o.dropIns(c.File)...)
		root = filepath.Join(o.dir("XDG_DATA_HOME", ".local/share"), "containers", "storage")
	}
	if only := o.Getenv(environment); only != "" {
		c.File, files = only, []string{only}
	}
	c.GraphRoots = []string{root}
	for _, path := range files {
		err := c.add(path, o)
		if errors.Is(err, fs.ErrNotExist) || user && errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return Conf{}, fmt.Errorf("read %s: %w", path, err)
		}
		c.Exists = c.Exists || path == c.File
	}
	return c, nil
}

// dir is one of a user's base directories.
func (o Options) dir(variable, fallback string) string {
	if dir := o.Getenv(variable); filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(o.Getenv("HOME"), fallback)
}

// dropIns are the files, each with those in the directory beside it.
func (o Options) dropIns(files ...string) (list []string) {
	for _, path := range files {
		more, _ := filepath.Glob(path + ".d/*.conf") // the pattern is fine
		list = append(append(list, path), more...)
	}
	return list
}

func (c *Conf) add(path string, o Options) error {
	raw, err := fsat.ReadNamed(path, maxFile)
	if err != nil {
		return err
	}
	var f file
	if err := toml.Unmarshal(raw, &f); err != nil {
		return err
	}
	for _, root := range []string{f.Storage.GraphRoot, f.Storage.Rootless} {
		if root = o.expand(root); root != "" && !slices.Contains(c.GraphRoots, root) {
			c.GraphRoots = append(c.GraphRoots, root)
		}
	}
	for _, store := range f.Storage.Options.ImageStores {
		if dir, ok := store.(string); ok {
			c.ImageStores = append(c.ImageStores, filepath.Clean(o.expand(dir)))
		}
	}
	return nil
}

// expand puts in the variables that the files may have.
func (o Options) expand(path string) string {
	return os.Expand(path, func(name string) string {
		if name == "UID" {
			return strconv.Itoa(o.UID)
		}
		return o.Getenv(name)
	})
}

// Missing is what is to be added to File so that engines read the additional
// image store at dir: whole lines, "" where nothing is missing.
func (c Conf) Missing(dir string) string {
	if slices.Contains(c.ImageStores, filepath.Clean(dir)) {
		return ""
	}
	var stores []string
	for _, store := range append(slices.Clone(c.ImageStores), dir) {
		stores = append(stores, strconv.Quote(store))
	}
	lines := "[storage.options]\nadditionalimagestores = [" + strings.Join(stores, ", ") + "]\n"
	switch {
	case c.Exists:
		return lines
	case c.user:
		return "[storage]\ndriver = \"overlay\"\n" + lines
	}
	// What a file does not say is not the default but nothing in versions
	// before 5.
	return "[storage]\ndriver = \"overlay\"\nrunroot = \"/run/containers/storage\"\ngraphroot = \"/var/lib/containers/storage\"\n" + lines
}
