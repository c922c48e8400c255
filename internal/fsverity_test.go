// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/fsverity"
	"github.com/layerctl/layerctl/internal/probe"
)

// answers are those of a kernel, one after the other, and then the last.
type answers []error

func (a *answers) Enable(*os.File) error {
	err := (*a)[0]
	if len(*a) > 1 {
		*a = (*a)[1:]
	}
	return err
}

func (a *answers) Enabled(*os.File) (bool, error) { return true, nil }

// The kernel of this machine has it or says why not, and nothing is left.
func TestTry(t *testing.T) {
	dir := disktest.OpenTemp(t)
	if err := fsverity.Try(t.Context(), fsverity.Kernel{}, dir); err != nil && !errors.Is(err, probe.ErrUnsupported) {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir.Name()); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	if on, err := (fsverity.Kernel{}).Enabled(dir); on || err != nil {
		t.Errorf("a directory: %v, %v", on, err)
	}
}

func TestEnable(t *testing.T) {
	dir := disktest.OpenTemp(t)
	if err := os.WriteFile(filepath.Join(dir.Name(), "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		kernel answers
		want   error
	}{
		"at once":           {answers{nil}, nil},
		"it is":             {answers{unix.EEXIST}, nil},
		"open for writing":  {answers{unix.ETXTBSY, unix.ETXTBSY, nil}, nil},
		"no kernel":         {answers{unix.ENOTTY}, probe.ErrUnsupported},
		"no filesystem":     {answers{unix.EOPNOTSUPP}, probe.ErrUnsupported},
		"no such blocks":    {answers{unix.EINVAL}, probe.ErrUnsupported},
		"a full filesystem": {answers{unix.ENOSPC}, unix.ENOSPC},
	} {
		if err := fsverity.Enable(t.Context(), &c.kernel, dir, "f"); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || len(c.kernel) != 1 {
			t.Errorf("%s: %v, want %v; not asked for: %v", name, err, c.want, c.kernel)
		}
	}
	over, end := context.WithCancel(t.Context())
	end()
	if err := fsverity.Enable(over, &answers{unix.ETXTBSY}, dir, "f"); !errors.Is(err, context.Canceled) {
		t.Errorf("at the end: %v", err)
	}
	if err := fsverity.Enable(t.Context(), fsverity.Kernel{}, dir, "none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
