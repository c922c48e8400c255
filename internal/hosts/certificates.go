// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// usualCertDirs are where containers looks, see containers-certs.d(5); the
// last is docker's.
func usualCertDirs() []string {
	dirs := []string{"/etc/containers/certs.d", "/etc/docker/certs.d"}
	if dir, err := os.UserConfigDir(); err == nil {
		dirs = append([]string{filepath.Join(dir, "containers", "certs.d")}, dirs...)
	}
	return dirs
}

// addCertificates gives each endpoint the certificates that are kept for its
// host.
func (f Files) addCertificates(plan *Plan) error {
	dirs := f.CertDirs
	if dirs == nil {
		dirs = usualCertDirs()
	}
	endpoints := []*Endpoint{&plan.Origin}
	for i := range plan.Mirrors {
		endpoints = append(endpoints, &plan.Mirrors[i])
	}
	for _, e := range endpoints {
		host, _, _ := strings.Cut(e.name(), "/")
		if host == "registry-1.docker.io" {
			host = "docker.io"
		}
		for _, dir := range dirs {
			dir = filepath.Join(dir, host)
			if st, err := os.Stat(dir); err != nil || !st.IsDir() {
				continue
			}
			if err := readCertificates(dir, e, false); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// readCertificates finds *.crt, *.cert and *.key in a directory, as docker has
// them. combined says that a *.cert alone has the key in it, as containerd
// takes it.
func readCertificates(dir string, e *Endpoint, combined bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	for _, name := range names {
		base, ext := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name)
		switch ext {
		case ".crt":
			e.CA = append(e.CA, filepath.Join(dir, name))
		case ".cert":
			key := base + ".key"
			if !slices.Contains(names, key) {
				if !combined {
					return fmt.Errorf("%s has no %s beside it", filepath.Join(dir, name), key)
				}
				key = name
			}
			e.Client = append(e.Client, KeyPair{filepath.Join(dir, name), filepath.Join(dir, key)})
		case ".key":
			if !combined && !slices.Contains(names, base+".cert") {
				return fmt.Errorf("%s has no %s.cert beside it", filepath.Join(dir, name), base)
			}
		}
	}
	return nil
}
