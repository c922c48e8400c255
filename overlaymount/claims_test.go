// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/quoting"
	"github.com/layerctl/layerctl/overlaystore"
)

// asUser runs a script in a user and a mount namespace of another user's until
// the test ends, and returns when it has said ok.
func asUser(t *testing.T, script string, env ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command("unshare", "-Urm", "sh", "-ec", script+"\necho ok; exec sleep 600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = "/"
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("needs unshare: %v", err)
	}
	stop = func() {
		_ = cmd.Process.Kill() // it may be stopped already
		_ = cmd.Wait()
	}
	t.Cleanup(stop)
	if said, _ := bufio.NewReader(out).ReadString('\n'); said != "ok\n" {
		t.Skip("needs a kernel that lets users mount overlays")
	}
	return stop
}

// Whatever names a user gives his own mounts, root's images can be removed.
func TestMountsThatNameLayersOfAnother(t *testing.T) {
	needsMount(t)
	needsRoot(t, "it is another user")
	for _, c := range []struct{ name, script string }{
		{"the image's source", `cd "$A"; mount -t overlay "$SOURCE" -o lowerdir=1:2,userxattr m`},
		{"relative names", `cd "$A"; mount -t overlay anything -o lowerdir=1:2:3,userxattr m`},
		{"the store's path", `mount -t tmpfs none "$TOP"; mkdir -p "$STORE/l/1" "$STORE/l/2" "$TOP/m"
			mount -t overlay "$SOURCE" -o "lowerdir=$STORE/l/1:$STORE/l/2,userxattr" "$TOP/m"`},
		{"a hidden mount", `cd "$A"; mount -t overlay "$SOURCE" -o lowerdir=1:2,userxattr m; mount -t tmpfs none "$A"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			top := filepath.Join(memoryDir(t), "top")
			attacker := filepath.Join(memoryDir(t), "attacker")
			for _, dir := range []string{"m", "1", "2", "3"} {
				if err := os.MkdirAll(filepath.Join(attacker, dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			shell(t, "chown -R 12345:12345 "+quoting.Shell(attacker)+"; mkdir "+quoting.Shell(top)+"; chmod -R a+rx "+quoting.Shell(filepath.Dir(top))+" "+quoting.Shell(filepath.Dir(attacker)))
			s := reopen(t, filepath.Join(top, "store"))
			id := addLayer(t, s, "a", regular("f", "x"))
			img := putImage(t, s, "a", id)
			asUser(t, c.script, "A="+attacker, "TOP="+top, "STORE="+s.Path(), "SOURCE="+mounts.Source("a", img.Manifest))
			if err := s.Remove(t.Context(), "a", ""); err != nil {
				t.Errorf("remove: %v", err)
			}
			if _, err := s.Prune(t.Context(), overlaystore.PruneOptions{}); err != nil {
				t.Fatal(err)
			}
			if has, err := s.HasLayer(id); err != nil || has {
				t.Errorf("after the prune the layer is there: %v, error %v", has, err)
			}
		})
	}
}

// A mount of root's that lives on in a user's namespace uses the layers.
func TestMountThatAnotherUserKeeps(t *testing.T) {
	needsMount(t)
	needsRoot(t, "it is another user")
	s := openStore(t)
	id := addLayer(t, s, "a", regular("f", "x"))
	m, err := Assemble(t.Context(), s, putImage(t, s, "a", id), Options{})
	if err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(memoryDir(t), "target")
	if err := os.Mkdir(target, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(target), 0o755); err != nil {
		t.Fatal(err)
	}
	unmountLater(t, target)
	if err := m.Mount(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	stop := asUser(t, ":")
	if err := Unmount(t.Context(), s, target, UnmountOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), "a", ""); err == nil || !strings.Contains(fmt.Sprint(err), target) {
		t.Errorf("remove: %v, want busy", err)
	}
	if _, err := s.Prune(t.Context(), overlaystore.PruneOptions{KeepStorage: 1}); err != nil {
		t.Fatal(err)
	}
	if has, err := s.HasLayer(id); err != nil || !has {
		t.Errorf("the layer is there: %v, error %v", has, err)
	}
	stop()
	if err := s.Remove(t.Context(), "a", ""); err != nil {
		t.Errorf("remove afterwards: %v", err)
	}
}

// Nor does a name keep root from an upper dir of his own.
func TestUpperThatAnotherNames(t *testing.T) {
	p := newMountPair(t)
	needsRoot(t, "it is another user")
	if err := os.Chmod(p.base, 0o755); err != nil {
		t.Fatal(err)
	}
	shell(t, "chmod a+rx "+quoting.Shell(filepath.Dir(p.base)))
	asUser(t, `mount -t tmpfs none "$B"; mkdir -p "$U" "$W" "$B/l" "$B/m"
		mount -t overlay x -o "lowerdir=$B/l,upperdir=$U,workdir=$W,userxattr" "$B/m"`, "B="+p.base, "U="+p.upper, "W="+p.work)
	if err := p.mount(t, p.options()); err != nil {
		t.Fatal(err)
	}
	p.unmount(t)
}
