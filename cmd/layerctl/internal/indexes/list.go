// SPDX-License-Identifier: Apache-2.0

package indexes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
)

// list is the list of an index's images, which is kept between create, annotate and push.
type list struct {
	Name        string            `json:"name"`
	Docker      bool              `json:"docker"`
	KeepNested  bool              `json:"keepNested"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Members     []member          `json:"members"`
}

// member is one image of a list. Digest is what its name stood for when the list was
// made. That is pushed, even if the tag has moved since.
type member struct {
	Ref         string            `json:"ref"`
	Digest      digest.Digest     `json:"digest"`
	Platform    ocispec.Platform  `json:"platform"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// maxList bounds the bytes of a list's file.
const maxList = 4 << 20

// missing makes an error an [errkind.NotFound].
type missing struct{ error }

func (m *missing) Unwrap() error { return errkind.NotFound }

// place returns the directory of lists, by the XDG base directory specification.
func place() (string, error) {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "layerctl", "lists"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", &args.UsageError{Problem: "neither HOME nor XDG_STATE_HOME is set, where lists under way are kept", Advice: "--push sends the index at once"}
	}
	return filepath.Join(home, ".local", "state", "layerctl", "lists"), nil
}

func fileOf(name string) string { return digest.FromString(name).Encoded() + ".json" }

func openPlace() (*os.File, error) {
	path, err := place()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	return durable.OpenDir(path)
}

func (l *list) keep(ctx context.Context) (err error) {
	dir, err := openPlace()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	raw, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return durable.WriteFile(ctx, dir, fileOf(l.Name), raw, 0o600)
}

func load(name string) (l list, err error) {
	dir, err := openPlace()
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	raw, err := fsat.ReadFile(dir, fileOf(name), maxList)
	if errors.Is(err, fs.ErrNotExist) {
		return l, &missing{fmt.Errorf("there is no list under way for %s: 'layerctl index create' begins one", name)}
	}
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(raw, &l); err != nil || l.Name != name {
		return l, errors.Join(fmt.Errorf("the list under way for %s is damaged: make it again", name), err)
	}
	return l, nil
}

func forget(ctx context.Context, name string) (err error) {
	dir, err := openPlace()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	return durable.Remove(ctx, dir, fileOf(name))
}
