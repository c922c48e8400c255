// SPDX-License-Identifier: Apache-2.0

package storedirs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/probe"
	"github.com/layerctl/layerctl/layer"
)

// Create makes a store of the opened root, in a form near the wanted one, and
// returns its store.json as encode has it. Of two processes that do so at once
// one waits, and finds the other's.
func Create(ctx context.Context, root *os.File, wanted layer.Form, encode func(layer.Form) ([]byte, error)) ([]byte, error) {
	if err := errors.Join(onlyOurs(root), allowed(ctx, wanted)); err != nil {
		return nil, err
	}
	unlock, err := durable.Lock(ctx, root, LockFile, durable.Exclusive, nil)
	if err != nil {
		return nil, err
	}
	defer unlock()
	raw, err := ReadFormat(root)
	if !errors.Is(err, fs.ErrNotExist) {
		return raw, err
	}
	for _, name := range subdirs {
		if err := durable.Mkdir(ctx, root, name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	links, err := durable.OpenDirAt(root, Links)
	if err != nil {
		return nil, err
	}
	defer links.Close()
	if err := durable.Mkdir(ctx, links, EmptyLink, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := durable.SyncDir(ctx, links); err != nil {
		return nil, err
	}
	form, err := probe.Form(ctx, root, wanted)
	if err != nil {
		return nil, err
	}
	if raw, err = encode(form); err != nil {
		return nil, err
	}
	return raw, durable.WriteFile(ctx, root, FormatFile, append(raw, '\n'), 0o600)
}

// allowed refuses a form that the caller could not mount.
func allowed(ctx context.Context, wanted layer.Form) error {
	switch {
	case wanted.Lower == layer.Tars:
		return probe.Tars(ctx)
	case wanted.Verity:
		return fmt.Errorf("%w: fs-verity is for layers as tars: an image has too many files in directories", probe.ErrUnsupported)
	}
	return nil
}

// onlyOurs refuses to turn a directory that is in use for something else into
// a store. What an interrupted creation left is no such thing, nor is a store that
// another process has made since the caller looked.
func onlyOurs(root *os.File) error {
	names, err := fsat.Names(root)
	if err != nil || slices.Contains(names, FormatFile) {
		return err
	}
	for _, name := range names {
		ours := slices.Contains(subdirs, name) || name == LockFile || name == blobsDir || name == "lost+found" ||
			strings.HasPrefix(name, durable.TempPrefix) || strings.HasPrefix(name, probe.Prefix)
		if !ours {
			return fmt.Errorf("%w: the directory holds %q and no store.json, so it is something else; choose an empty one", ErrFormat, name)
		}
	}
	return nil
}
