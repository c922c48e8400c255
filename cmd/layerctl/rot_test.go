// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/imagetest"
)

// keepingTime changes a file as rot does: the time does not tell.
func keepingTime(name string, change func() error) error {
	before, err := os.Stat(name)
	if err != nil {
		return err
	}
	return errors.Join(change(), os.Chtimes(name, time.Time{}, before.ModTime()))
}

// TestRot damages one layer of three in each way that a disk or a person does:
// verify names path and field and ends with 6, and verify --repair fetches
// that one layer and nothing else. The short form has two of the ways.
func TestRot(t *testing.T) {
	s := serve(t, nil)
	layout := imagetest.NewLayout(t.TempDir())
	layout.Tag(layout.Image(amd64,
		imagetest.Tar(imagetest.File("lowest", "untouched")),
		imagetest.Tar(imagetest.Dir("d/", 0o755), imagetest.File("d/file", "content"), imagetest.Symlink("d/link", "file")),
		imagetest.Tar(imagetest.File("highest", "untouched"))), "latest")
	push(t, s, "rot", "latest", layout.Dir)
	store := filepath.Join(t.TempDir(), "store")
	common := []string{"--quiet", "--store", store, "--platform", "linux/amd64", "--plain-http", s.host}
	run := func(code int, args ...string) *command {
		t.Helper()
		c := layerctlCommand(t, append(args, common...)...)
		if got := c.code(t); got != code {
			t.Fatalf("%s: exit %d, want %d: %s", args, got, code, &c.stderr)
		}
		return c
	}
	run(exitOK, "pull", s.host+"/rot")
	tests := []struct {
		name   string
		damage func(dir string) error
		says   []string
	}{
		{"a byte flipped", func(dir string) error {
			return keepingTime(dir+"/file", func() error { return os.WriteFile(dir+"/file", []byte("cOntent"), 0) })
		}, []string{`"d/file": content is `}},
		{"truncated to nothing", func(dir string) error {
			return keepingTime(dir+"/file", func() error { return os.Truncate(dir+"/file", 0) })
		}, []string{`"d/file": size is 0, was 7`}},
		{"a mode", func(dir string) error { return unix.Chmod(dir+"/file", 0o4755) }, []string{`"d/file": mode is 4755, was 0644`}},
		{"an attribute", func(dir string) error {
			return unix.Setxattr(dir+"/file", "user.rot", []byte("x"), 0)
		}, []string{`"d/file": xattr user.rot is `}},
		{"a name changed", func(dir string) error {
			return keepingTime(dir, func() error { return os.Rename(dir+"/file", dir+"/f1le") })
		}, []string{`"d/file": missing`, `"d/f1le": extra`}},
		{"a file added", func(dir string) error {
			return keepingTime(dir, func() error { return os.WriteFile(dir+"/added", nil, 0o644) })
		}, []string{`"d/added": extra`}},
	}
	for i, test := range tests {
		if !full() && i%4 != 0 {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			found, err := filepath.Glob(store + "/layers/*/fs/d")
			if err != nil || len(found) != 1 {
				t.Fatalf("found %q, error %v", found, err)
			}
			if err := test.damage(found[0]); err != nil {
				t.Fatal(err)
			}
			checkSays(t, run(exitMismatch, "verify"), test.says)
			s.blobs()
			checkSays(t, run(exitOK, "verify", "--repair"), test.says)
			if got := s.blobs(); got != 1 {
				t.Errorf("%d blobs fetched, want the layer's", got)
			}
			if c := run(exitOK, "verify"); c.stdout.Len() != 0 {
				t.Errorf("after the repair: %s", &c.stdout)
			}
		})
	}
}

// checkSays wants one line of standard output for each of says, and no other.
func checkSays(t *testing.T, c *command, says []string) {
	t.Helper()
	for _, s := range says {
		if !strings.Contains(c.stdout.String(), s) {
			t.Errorf("%q does not say %q", &c.stdout, s)
		}
	}
	if got := bytes.Count(c.stdout.Bytes(), []byte("\n")); got != len(says) {
		t.Errorf("%d differences, want %d: %s", got, len(says), &c.stdout)
	}
}
