// SPDX-License-Identifier: Apache-2.0

package syncing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/imagelist"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/registry"
)

// list reads the list that -f names.
func (j *job) list(ctx context.Context) ([]imagelist.Image, error) {
	name := j.String("file")
	read := func() ([]imagelist.Image, error) {
		if name == "-" {
			return imagelist.Read(j.App.Reader)
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		list, err := imagelist.Read(f)
		return list, errors.Join(err, f.Close())
	}
	if isReference(name) {
		read = func() ([]imagelist.Image, error) { return j.artifact(ctx, name) }
	}
	// A pipe that nobody writes to blocks as it is opened and as it is read.
	list, err := terminal.Await(ctx, read)
	if err != nil {
		return nil, fmt.Errorf("read the list %s: %w", name, err)
	}
	return list, nil
}

// isReference reports whether -f names a list in a registry or a layout, and not a file.
func isReference(name string) bool {
	return strings.HasPrefix(name, "docker://") || strings.HasPrefix(name, "oci:")
}

// artifact reads a list that is an OCI artifact: a manifest with one layer,
// which is the list's bytes, as 'oras push' makes it.
func (j *job) artifact(ctx context.Context, name string) (_ []imagelist.Image, err error) {
	ref, err := registry.Parse(name)
	if err != nil {
		return nil, err
	}
	logins, err := setup.LoginsFor(j.Context, []string{name})
	if err != nil {
		return nil, err
	}
	source, err := registry.New(setup.RegistryOptions(j.Context, logins)).Open(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer func() { err = setup.Closing(err, source) }()
	desc, raw, err := source.Root(ctx)
	if err != nil {
		return nil, err
	}
	m, err := manifest.ParseManifest(raw, desc.MediaType)
	if err != nil {
		return nil, err
	}
	if len(m.Layers) != 1 || m.Layers[0].Size > imagelist.MaxSize {
		return nil, errkind.With(errkind.Malformed, fmt.Errorf("%s is no list: it has %d layers, not one of at most %d bytes", ref, len(m.Layers), imagelist.MaxSize))
	}
	blob, err := source.Blob(ctx, m.Layers[0])
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(blob) // its size and digest are those of the descriptor
	if err = errors.Join(err, blob.Close()); err != nil {
		return nil, err
	}
	return imagelist.Read(bytes.NewReader(text))
}
