// SPDX-License-Identifier: Apache-2.0

package tarlayer

import (
	"errors"
	"os"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/layercheck"
)

// A layer that the disk does not give out is damaged; that it was not read for
// another reason says nothing of it.
func TestUnreadableIsDamaged(t *testing.T) {
	one, other := digest.FromString("one"), digest.FromString("other")
	for name, c := range map[string]struct {
		got   digest.Digest
		err   error
		wrong int
		fails bool
	}{
		"as it was":      {one, nil, 0, false},
		"another":        {other, nil, 1, false},
		"a bad sector":   {"", &os.PathError{Op: "read", Path: "layer.erofs", Err: unix.EIO}, 1, false},
		"a bad inode":    {"", &os.PathError{Op: "open", Path: "layer.erofs", Err: unix.EUCLEAN}, 1, false},
		"bad hashes":     {"", &os.PathError{Op: "open", Path: "layer.erofs", Err: unix.EINVAL}, 1, false},
		"no descriptors": {"", unix.EMFILE, 0, true},
	} {
		check := layercheck.New(layercheck.Options{})
		err := compare(check, "content", c.got, one, c.err)
		if wrong := check.Result().Differences; len(wrong) != c.wrong || (err != nil) != c.fails || c.fails && !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %v", name, wrong, err)
		}
	}
}
