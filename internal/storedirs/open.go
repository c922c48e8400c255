// SPDX-License-Identifier: Apache-2.0

package storedirs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/journal"
	"github.com/layerctl/layerctl/internal/probe"
)

// OpenAll opens every directory below root into dirs, by its name. What it opened
// before an error is there to be closed.
func OpenAll(root *os.File, dirs map[string]*os.File) error {
	var top unix.Stat_t
	if err := unix.Fstat(int(root.Fd()), &top); err != nil {
		return err
	}
	for _, name := range subdirs {
		dir, err := durable.OpenDirAt(root, name)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
				err = fmt.Errorf("%w: %w", journal.ErrDamaged, err)
			}
			return err
		}
		dirs[name] = dir
		var st unix.Stat_t
		if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
			return err
		}
		if st.Dev != top.Dev {
			return fmt.Errorf("%s/ is on another filesystem than the rest of the store: %w", name, probe.ErrUnsupported)
		}
	}
	return nil
}
