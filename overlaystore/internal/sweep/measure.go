// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
)

// Size is what is known of one directory of a layer or a fix layer.
type Size struct {
	Bytes int64 // of file contents
	Made  time.Time
	Fix   bool
	ID    digest.Digest
}

// Measurer reads sizes of directories that layers may be in.
type Measurer struct {
	Root *os.File // of the store
	// FixDir is the directory of fix layers; in others their names begin with
	// FixPrefix.
	FixDir, FixPrefix string
	// Bytes are those of a layer's directory; 0 where its record is gone: it can
	// be removed as well.
	Bytes func(dir *os.File) int64
}

// Measure reads what the directories, named by their paths under the root,
// hold; one that is missing holds nothing. The sizes are by path.
func (m Measurer) Measure(dirs ...string) (map[string]Size, error) {
	sizes := map[string]Size{}
	for _, rel := range dirs {
		err := m.measure(rel, sizes)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return sizes, nil
}

func (m Measurer) measure(rel string, sizes map[string]Size) error {
	dir, err := durable.OpenDirAt(m.Root, rel)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := fsat.Names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		st, err := fsat.Lstat(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return err
		}
		hex, fix := strings.CutPrefix(name, m.FixPrefix)
		z := Size{Made: time.Unix(st.Mtim.Unix()), Fix: fix || rel == m.FixDir, ID: digest.NewDigestFromEncoded(digest.SHA256, hex)}
		if f, err := durable.OpenDirAt(dir, name); err == nil {
			z.Bytes = m.Bytes(f)
			f.Close()
		}
		sizes[rel+"/"+name] = z
	}
	return nil
}
