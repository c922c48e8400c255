// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
)

func TestDevicesOfAnImage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "image")
	l := imagetest.NewLayout(dir)
	null := imagetest.Entry{Header: tar.Header{Name: "null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3}}
	l.Tag(l.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, imagetest.Tar(imagetest.File("a", "b"), null)), "it")
	for _, c := range []struct {
		flag, said string
		code       int
	}{
		{"--devices=refuse", "device", exitMalformed},
		{"--devices=skip", "tolerated: device-skipped (1 times)", exitOK},
		{"--devices=some", `there is no --devices "some"`, exitUsage},
	} {
		t.Run(c.flag, func(t *testing.T) {
			store := filepath.Join(t.TempDir(), "store")
			pull := layerctlCommand(t, "pull", "--verbose", "--store", store, "--platform", "linux/amd64", c.flag, "oci:"+dir)
			if got := pull.code(t); got != c.code {
				t.Errorf("exit %d, want %d: %s", got, c.code, &pull.stderr)
			}
			if !strings.Contains(pull.stderr.String(), c.said) {
				t.Errorf("it says %s, want %q", &pull.stderr, c.said)
			}
			if c.code != exitOK {
				return
			}
			stored := layerctlCommand(t, "inspect", "--stored", "--store", store, "oci:"+dir)
			if got := stored.code(t); got != exitOK || !strings.Contains(stored.stdout.String(), c.said) {
				t.Errorf("inspect --stored: exit %d, %s%s, want %q", got, &stored.stdout, &stored.stderr, c.said)
			}
		})
	}
}
