// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/imagetest"
)

func TestMountHelperIsCalled(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
		ok   bool
	}{
		{[]string{"/sbin/mount.layerctl", "a", "b"}, []string{"a", "b"}, true},
		{[]string{"layerctl", "mount.layerctl", "a"}, []string{"a"}, true},
		{[]string{"layerctl", "mount", "mount.layerctl"}, nil, false},
		{[]string{"layerctl"}, nil, false},
	} {
		if got, ok := args.MountHelperArgs(c.args); ok != c.ok || !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, %v", c.args, got, ok)
		}
	}
}

// helperHost runs scripts where mount.layerctl is installed: in mount
// namespaces of their own, with it laid over /sbin.
type helperHost struct{ sbin, store, layout string }

// newHelperHost pulls images of so many layers, tagged by their number. Each
// layer has a file own-N, replaces the file all, and deletes gone-N of the
// layer below.
func newHelperHost(t *testing.T, counts ...int) *helperHost {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts")
	}
	helper, err := exec.LookPath(args.HelperName)
	if err != nil {
		t.Fatal(err)
	}
	h := &helperHost{sbin: t.TempDir(), store: filepath.Join(disktest.Memory(t), "store"), layout: disktest.Memory(t)}
	if err := os.Symlink(helper, filepath.Join(h.sbin, args.HelperName)); err != nil {
		t.Fatal(err)
	}
	var layers [][]byte
	for i := range slices.Max(counts) {
		layers = append(layers, imagetest.Tar(
			imagetest.File(fmt.Sprint("own-", i), ""), imagetest.File("all", fmt.Sprint(i)),
			imagetest.File(fmt.Sprint("gone-", i), ""), imagetest.File(fmt.Sprint(".wh.gone-", i-1), "")))
	}
	layout := imagetest.NewLayout(h.layout)
	for _, n := range counts {
		layout.Tag(layout.Image(amd64, layers[:n]...), fmt.Sprint(n))
		h.run(t, fmt.Sprintf("layerctl pull --quiet --no-sync --platform linux/amd64 %s >/dev/null", h.ref(n)))
	}
	return h
}

func (h *helperHost) ref(n int) string { return fmt.Sprintf("oci:%s:%d", h.layout, n) }

// run runs a script and returns what it prints.
func (h *helperHost) run(t *testing.T, script string, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "-ec", `sbin=$(readlink -f /sbin)
mount -t overlay helper -o "lowerdir=$HELPER:$sbin" "$sbin"
`+script)
	cmd.Env = append(os.Environ(), append(env, "LAYERCTL_STORE="+h.store, "HELPER="+h.sbin)...)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v: %.2000s", script, err, out)
	}
	return string(out)
}

// mountPrograms are as in the tests of overlaystore.
func mountPrograms() []string {
	programs := []string{"mount"}
	if _, err := exec.LookPath("busybox"); err == nil {
		programs = append(programs, "busybox mount")
	}
	return append(programs, filepath.SplitList(os.Getenv("LAYERCTL_TEST_MOUNTS"))...)
}

// Lines of fstab for more layers than the options of mount(2) can name, by
// every mount(8).
func TestFSTabOfManyLayers(t *testing.T) {
	needsFull(t)
	formats := map[int]string{40: "fstab-helper", 128: "fstab"}
	if full() {
		formats[499], formats[500] = "fstab", "fstab"
	}
	h := newHelperHost(t, slices.Sorted(maps.Keys(formats))...)
	for n, format := range formats {
		for _, program := range mountPrograms() {
			t.Run(fmt.Sprint(n, " layers, ", filepath.Base(program)), func(t *testing.T) {
				out := h.run(t, `mkdir target
layerctl mount --format "$FORMAT" "$REF" "$PWD/target" >fstab
cut -d ' ' -f 3 fstab
$MOUNT -T fstab "$PWD/target"
ls target | wc -l; cat target/all; echo
! touch target/new 2>/dev/null
! ls target/gone-0 2>/dev/null
umount target
$MOUNT -a -T fstab
$MOUNT -a -T fstab
grep -c " $PWD/target " /proc/self/mountinfo
layerctl umount target
! grep -q " $PWD/target " /proc/self/mountinfo
`, "REF="+h.ref(n), "MOUNT="+program, "FORMAT="+format)
				if want := fmt.Sprintf("layerctl\n%d\n%d\n1\n", n+2, n-1); out != want {
					t.Errorf("%q, want %q", out, want)
				}
			})
		}
	}
}

// The helper's line takes what overlayfs's has no form for, and mount(8) by
// hand does as well.
func TestMountHelperInOddPlaces(t *testing.T) {
	h := newHelperHost(t, 2)
	names := []string{"a b,\nro"}
	if full() {
		names = append(names, "with blank", "com,ma,ro", "new\nline", "co:lon", `back\slash`, `end\`, `quo"te`, "apos'trophe", "hash #", "per%cent%20", "\xff")
	}
	for _, name := range names {
		for _, program := range mountPrograms() {
			t.Run(fmt.Sprintf("%q, %s", name, filepath.Base(program)), func(t *testing.T) {
				out := h.run(t, `mkdir "$NAME"
cp -a "$LAYERCTL_STORE" "$NAME/store"
cd "$NAME"
mkdir upper work
unset LAYERCTL_STORE
layerctl --store "$PWD/store" mount --format fstab-helper --upper upper --work work -o nosuid "$REF" /mnt >../fstab
$MOUNT -T ../fstab /mnt
cat /mnt/all; echo
! ls /mnt/gone-0 2>/dev/null
echo written >/mnt/all
grep -c ' /mnt rw,nosuid' /proc/self/mountinfo
umount /mnt
cat upper/all
`, "REF="+h.ref(2), "MOUNT="+program, "NAME="+name)
				if want := "1\n1\nwritten\n"; out != want {
					t.Errorf("%q, want %q", out, want)
				}
			})
		}
	}
}

func TestMountHelperFails(t *testing.T) {
	h := newHelperHost(t, 2)
	out := h.run(t, `mkdir target
code() { code=0; "$@" 2>err || code=$?; echo "$code $(cat err)"; }
code mount -t layerctl -o nodev,private "$REF" target
grep -c "$PWD/target ro,nosuid,nodev" /proc/self/mountinfo
umount target
code mount -t layerctl -o bogus "$REF" target
code mount -t layerctl -o ro,upper=/u,work=/w "$REF" target
code mount -t layerctl no/such:image target
code mount -f -t layerctl "$REF" target
code mount -t layerctl "$(layerctl images --json | grep -o -m 1 'sha256:[0-9a-f]*')" target
grep -c "$PWD/target ro" /proc/self/mountinfo
`, "REF="+h.ref(2))
	lines := strings.Split(out, "\n")
	for i, want := range []string{"0 ", "1", "1 layerctl: error: ", "1 layerctl: error: ro and upper=", "32 layerctl: error: ", "0 ", "0 ", "1"} {
		// A hint may follow.
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "layerctl: hint") })
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d: %q, want %q\n%s", i, lines[i], want, out)
		}
	}
}
