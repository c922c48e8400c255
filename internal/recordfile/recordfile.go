// SPDX-License-Identifier: Apache-2.0

// Package recordfile reads folders of small JSON records in a store: one file
// for each, under a name that is made of what the record is about. Anybody may
// have damaged them: a record that is not what its name says is an error.
package recordfile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
)

const (
	suffix  = ".json"
	maxSize = 1 << 20
)

// Name is the name of the file of a record about these.
func Name(about ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(about, "\x00")))
	return hex.EncodeToString(sum[:]) + suffix
}

// Write writes a record, durably, in place of what had its name.
func Write(ctx context.Context, dir *os.File, name string, rec any) error {
	raw, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return durable.WriteFile(ctx, dir, name, append(raw, '\n'), 0o600)
}

// Read reads one record of at most 1 MiB; belongs says whether it is what the
// name says.
func Read[T any](dir *os.File, name string, belongs func(rec T, name string) bool) (rec T, err error) {
	err = read(dir, name, &rec, func() bool { return belongs(rec, name) })
	return rec, err
}

// read is not generic, and List neither but for what it must be: each kind of
// record would have the code once more.
func read(dir *os.File, name string, into any, belongs func() bool) error {
	raw, err := fsat.ReadFile(dir, name, maxSize)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err == nil && !belongs() {
		err = errors.New("it is not what its name says")
	}
	return err
}

// List reads all records of a folder. Those that cannot be read are left out,
// and the error names them; of says what they are records of.
func List[T any](dir *os.File, of string, belongs func(rec T, name string) bool) (list []T, err error) {
	err = each(dir, of, func(name string) error {
		rec, err := Read(dir, name, belongs)
		if err == nil {
			list = append(list, rec)
		}
		return err
	})
	return list, err
}

func each(dir *os.File, of string, take func(name string) error) error {
	names, err := fsat.Names(dir)
	if err != nil {
		return fmt.Errorf("list records of %s: %w", of, err)
	}
	var errs []error
	for _, name := range names {
		if !strings.HasSuffix(name, suffix) || strings.HasPrefix(name, durable.TempPrefix) {
			continue
		}
		err := take(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			errs = append(errs, fmt.Errorf("record %s of %s: %w", name, of, err))
		}
	}
	return errors.Join(errs...)
}
