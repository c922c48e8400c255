// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"archive/tar"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"syscall"
	"testing"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
)

// stacksIDs names, in the process that checks stacks in a user namespace, the
// form of ids that its stores must have.
const stacksIDs = "LAYERCTL_STACKS_IDS"

// TestRandomStacksRootless runs TestRandomStacks for one stack in ten, and
// TestRandomStacksWithoutDevices, again as root of user namespaces, one with as many ids as an ordinary user's range
// gives and one with a single id.
func TestRandomStacksRootless(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: to map ids")
	}
	first, count := number(t, "LAYERCTL_SEED", 1), number(t, "LAYERCTL_STACKS", stacks())
	for _, c := range []struct {
		ids  string
		size int
	}{{"mapped", 65536}, {"squashed", 1}} {
		t.Run(c.ids, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestRandomStacks(WithoutDevices)?$", "-test.v")
			cmd.Env = append(os.Environ(), stacksIDs+"="+c.ids,
				fmt.Sprintf("LAYERCTL_SEED=%d", first), fmt.Sprintf("LAYERCTL_STACKS=%d", max(1, count/20)))
			ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: c.size}}
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
				UidMappings: ids, GidMappings: ids, Credential: &syscall.Credential{},
			}
			out, err := cmd.CombinedOutput()
			if err != nil && len(out) == 0 {
				t.Skipf("needs user namespaces: %v", err)
			}
			if err != nil || strings.Count(string(out), "\n--- PASS: TestRandomStacks") != 2 {
				t.Errorf("in a user namespace with %s ids: %v\n%s", c.ids, err, out)
			}
		})
	}
}

// squash gives every file to root, which is who owns them in a store that only
// records owners, and tells whose they were.
func (m *model) squash() map[*inode][2]int {
	was := map[*inode][2]int{}
	m.root.squash(was)
	return was
}

func (n *inode) squash(was map[*inode][2]int) {
	if _, done := was[n]; !done { // a file may have several names
		was[n] = [2]int{n.uid, n.gid}
	}
	n.uid, n.gid = 0, 0
	for _, c := range n.children {
		c.squash(was)
	}
}

// clearSetID takes the set-id bits from files that change hands in a flat tree.
func clearSetID(was map[*inode][2]int) {
	for n, owner := range was {
		if owner[0] != 0 {
			n.mode &^= 0o4000
		}
		if owner[1] != 0 {
			n.mode &^= 0o2000
		}
	}
}

// recordedOwners are those that the journal of a layer has, by path.
type recordedOwners map[string][2]int

func (o recordedOwners) record(e layer.Entry) error {
	if e.Type != layer.OpaqueMark {
		o[e.Path] = [2]int{int(e.UID), int(e.GID)}
	}
	return nil
}

// check compares them with what the layer says, whatever becomes of them on
// disk.
func (o recordedOwners) check(layer []imagetest.Entry) error {
	for _, e := range layer {
		name := path.Clean(e.Name)
		if e.Typeflag == tar.TypeLink || strings.HasPrefix(path.Base(name), ".wh.") {
			continue
		}
		if got, want := o[name], [2]int{e.Uid, e.Gid}; got != want {
			return fmt.Errorf("the owner of %q is recorded as %d, want %d", name, got, want)
		}
	}
	return nil
}
