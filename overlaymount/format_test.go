// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/quoting"
)

// mountPrograms are the ways to say mount: the system's, busybox's, and those
// that LAYERCTL_TEST_MOUNTS names with colons between, such as a newer
// util-linux's that was unpacked aside.
func mountPrograms(t *testing.T) map[string]string {
	t.Helper()
	programs := map[string]string{"mount(8)": "mount"}
	if busybox, err := exec.LookPath("busybox"); err == nil {
		programs["busybox"] = busybox + " mount"
	}
	for _, path := range filepath.SplitList(os.Getenv("LAYERCTL_TEST_MOUNTS")) {
		programs[path] = path
	}
	return programs
}

// mountFile writes text to a file and runs program with it as its fstab.
func mountFSTab(t *testing.T, program, text, target string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fstab")
	writeFile(t, file, text+"\n")
	shell(t, fmt.Sprintf("%s -T %s %s", program, quoting.Shell(file), quoting.Shell(target)))
}

// mountUnit does what systemd does with a mount unit (mount_enter_mounting).
func mountUnit(t *testing.T, program string, u Unit) {
	t.Helper()
	value := map[string]string{}
	for _, line := range strings.Split(u.Text, "\n") {
		if k, v, ok := strings.Cut(line, "="); ok {
			value[k] = strings.ReplaceAll(v, "%%", "%")
		}
	}
	words := append(strings.Fields(program), value["What"], value["Where"], "-t", value["Type"], "-o", value["Options"])
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env = value["WorkingDirectory"], append(os.Environ(), value["Environment"])
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v: %s", words, err, out)
	}
}

// mountSyscall is mount(2) in the directory dir, as programs do that take a
// mount apart into its source, flags and data.
func mountSyscall(t *testing.T, dir, source, target string, options []string) {
	t.Helper()
	var flags uintptr
	var data []string
	for _, o := range options {
		switch o {
		case "ro":
			flags |= unix.MS_RDONLY
		case "rw":
		case "nosuid":
			flags |= unix.MS_NOSUID
		case "nodev":
			flags |= unix.MS_NODEV
		default:
			data = append(data, o)
		}
	}
	all := strings.Join(data, ",")
	if err := fits(all); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, as in mountByName
		done <- errors.Join(unix.Unshare(unix.CLONE_FS), unix.Chdir(dir), unix.Mount(source, target, "overlay", flags, all))
	}()
	if err := <-done; err != nil {
		t.Fatalf("in %q: %.300q: %v", dir, all, err)
	}
}

// shorten does what containerd does with options that are too long for
// mount(2): the directory that all lower dirs have in common becomes the
// working directory (compactLowerdirOption in its package mount).
func shorten(options []string) (string, []string) {
	options = slices.Clone(options)
	i := slices.IndexFunc(options, func(o string) bool { return strings.HasPrefix(o, "lowerdir=") })
	lower := strings.Split(strings.TrimPrefix(options[i], "lowerdir="), ":")
	if fits(strings.Join(options, ",")) == nil || len(lower) == 1 {
		return "/", options
	}
	common := filepath.Dir(lower[0])
	for n, dir := range lower {
		lower[n] = strings.TrimPrefix(dir, common+"/")
	}
	options[i] = "lowerdir=" + strings.Join(lower, ":")
	return common, options
}

// formats are the printed forms, each with how it is used.
func formats() map[string]func(t *testing.T, program string, m *Mount, target string) {
	return map[string]func(*testing.T, string, *Mount, string){
		"sh": func(t *testing.T, program string, m *Mount, target string) {
			bin := t.TempDir()
			script := fmt.Sprintf("#!/bin/sh\nPATH=%s exec %s \"$@\"\n", quoting.Shell(os.Getenv("PATH")), program)
			if err := os.WriteFile(filepath.Join(bin, "mount"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			shell(t, line(t, m, target), "PATH="+bin+":"+os.Getenv("PATH"))
		},
		"json": func(t *testing.T, _ string, m *Mount, target string) {
			options, err := m.Options()
			if err != nil {
				t.Fatal(err)
			}
			mountSyscall(t, m.LinkDir(), m.Source(), target, append(m.Flags(), options))
		},
		"fstab": func(t *testing.T, program string, m *Mount, target string) {
			line, err := m.FSTab(target, FSTabOptions{})
			if err != nil || line.Helper != nil {
				t.Fatalf("error %v, helper %v", err, line.Helper)
			}
			mountFSTab(t, program, line.Text, target)
		},
		"systemd": func(t *testing.T, program string, m *Mount, target string) {
			u, err := m.Unit(target)
			if err != nil {
				t.Fatal(err)
			}
			mountUnit(t, program, u)
		},
		"containerd": func(t *testing.T, _ string, m *Mount, target string) {
			spec, err := m.Spec()
			if err != nil {
				t.Fatal(err)
			}
			dir, options := shorten(spec.Options)
			mountSyscall(t, dir, spec.Source, target, options)
		},
	}
}

// mountFormats runs m in every format by every program, and look at each
// mount. refused are words on a format that cannot say this mount.
func mountFormats(t *testing.T, m *Mount, target string, refused map[string]string, look func(t *testing.T)) {
	t.Helper()
	for format, mount := range formats() {
		for program, path := range mountPrograms(t) {
			if syscall := format == "json" || format == "containerd"; syscall && program != "mount(8)" {
				continue // once will do
			}
			t.Run(format+" "+filepath.Base(program), func(t *testing.T) {
				if why := refused[format]; why != "" {
					if err := refusal(m, format, target); err == nil || !strings.Contains(err.Error(), why) {
						t.Errorf("error %v, want %q", err, why)
					}
					return
				}
				if line, _ := m.FSTab(target, FSTabOptions{}); format == "fstab" && program == "busybox" && len(line.Text) > 511 {
					return // it reads no more; the command says so and has the helper
				}
				unmountLater(t, target)
				mount(t, path, m, target)
				look(t)
				if err := m.check(t.Context(), target); err != nil {
					t.Error(err)
				}
				if err := Unmount(t.Context(), m.store, target, UnmountOptions{}); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// refusal is what a format says of a mount that it cannot say.
func refusal(m *Mount, format, target string) (err error) {
	switch format {
	case "sh":
		_, err = m.Line(target)
	case "systemd":
		_, err = m.Unit(target)
	case "fstab":
		line, fault := m.FSTab(target, FSTabOptions{})
		err = errors.Join(fault, line.Helper)
	}
	return err
}

// Every format for every number of layers that is a border somewhere. Lines of
// fstab for more layers than mount(2) can name are run with the command.
func TestFormatsMount(t *testing.T) {
	needsMount(t)
	s := reopen(t, filepath.Join(memoryDir(t), "store"))
	for _, n := range some(2, 2, 128, 1, 40, 499, 500) {
		t.Run(fmt.Sprint(n, " layers"), func(t *testing.T) {
			m, err := Assemble(t.Context(), s, manyLayers(t, s, n), Options{})
			if err != nil {
				t.Fatal(err)
			}
			refused := map[string]string{}
			if n >= 128 {
				refused["fstab"] = "mount(2) at most 4095"
			}
			target := t.TempDir()
			mountFormats(t, m, target, refused, func(t *testing.T) { checkManyLayers(t, target, n) })
		})
	}
	t.Run("a repeated layer", func(t *testing.T) {
		a := addLayer(t, s, "a", regular("f", "a"), regular("gone", "x"))
		b := addLayer(t, s, "b", regular("f", "b"), whiteout("gone"))
		m, err := Assemble(t.Context(), s, putImage(t, s, "repeated", a, b, a, b), Options{})
		if err != nil {
			t.Fatal(err)
		}
		target := t.TempDir()
		mountFormats(t, m, target, nil, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join(target, "f"))
			if _, gone := os.Lstat(filepath.Join(target, "gone")); err != nil || string(body) != "b" || gone == nil {
				t.Errorf("f is %q, error %v, gone %v", body, err, gone)
			}
		})
	})
}

// Every format for stores, upper and work dirs and targets of every name.
func TestFormatsInOddPlaces(t *testing.T) {
	needsMount(t)
	const n = 8 // more than go into one option of 255 bytes
	for _, name := range some(3,
		"com,ma", `back\slash`, "new\nline", "co:lon", `quo"te`, "per%cent %n", "with blank", `end\`, "apos'trophe", "dollar$HOME", "hash #", "ta\tb", "é",
	) {
		base := filepath.Join(memoryDir(t), name)
		target := filepath.Join(base, "target")
		s := reopen(t, filepath.Join(base, "store"))
		for _, dir := range []string{"target", "upper", "work"} {
			if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		img := manyLayers(t, s, n)
		for _, o := range []Options{{}, {Writable: true, Upper: base + "/upper", Work: base + "/work"}} {
			t.Run(fmt.Sprintf("%q writable %v", name, o.Writable), func(t *testing.T) {
				m, err := Assemble(t.Context(), s, img, o)
				if err != nil {
					t.Fatal(err)
				}
				mountFormats(t, m, target, oddRefusals(name, o.Writable), func(t *testing.T) {
					if !o.Writable {
						checkManyLayers(t, target, n)
						return
					}
					written := filepath.Join(target, "written")
					writeFile(t, written, "x")
					if err := os.Remove(written); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// oddRefusals are the formats that cannot say a place.
func oddRefusals(name string, writable bool) map[string]string {
	const noForm = "for which"
	refused := map[string]string{}
	switch {
	case strings.Contains(name, "\n"):
		refused["fstab"], refused["systemd"] = noForm, noForm
	case strings.Contains(name, `"`):
		refused["fstab"] = noForm
		if writable {
			refused["sh"], refused["systemd"] = noForm, noForm
		}
	case strings.Contains(name, ","):
		refused["fstab"] = "a comma keeps layers in one option"
	}
	return refused
}

// systemd's own programs agree on the unit's name, and find nothing to say.
func TestUnitIsWhatSystemdWants(t *testing.T) {
	for _, path := range []string{"/", "/mnt", "/srv/my image", "/a-b/.c/é", "/.hidden", "//x//y/"} {
		want, err := exec.Command("systemd-escape", "--path", "--suffix=mount", path).Output()
		if err != nil {
			t.Skipf("needs systemd: %v", err)
		}
		if got := quoting.UnitName(path); got != strings.TrimSpace(string(want)) {
			t.Errorf("unit name of %q: %q, want %q", path, got, want)
		}
	}
	s := openStore(t)
	m, err := Assemble(t.Context(), s, putImage(t, s, "a", addLayer(t, s, "a", regular("f", "x"))), Options{})
	if err != nil {
		t.Fatal(err)
	}
	u, err := m.Unit("/srv/an image 100%")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), u.Name)
	writeFile(t, file, u.Text)
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), u.Name) {
		t.Errorf("systemd-analyze verify: %v: %s\n%s", err, out, u.Text)
	}
}

// What systemd makes of the line at boot: a unit that waits for the store's
// filesystem and for that of the upper dir.
func TestFSTabBoots(t *testing.T) {
	generator := "/usr/lib/systemd/system-generators/systemd-fstab-generator"
	if _, err := os.Stat(generator); err != nil {
		t.Skipf("needs systemd: %v", err)
	}
	p := newMountPair(t)
	m, err := Assemble(t.Context(), p.s, p.img, p.options())
	if err != nil {
		t.Fatal(err)
	}
	line, err := m.FSTab("/srv/my image", FSTabOptions{Systemd: true})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "fstab")
	writeFile(t, file, line.Text+"\n")
	cmd := exec.Command(generator, dir, dir, dir)
	cmd.Env = append(os.Environ(), "SYSTEMD_FSTAB="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	unit, err := os.ReadFile(filepath.Join(dir, `srv-my\x20image.mount`))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"RequiresMountsFor=" + p.s.Path() + " " + p.upper + "\n", "Where=/srv/my image\n", "Type=overlay\n", "upperdir=" + p.upper} {
		if !strings.Contains(string(unit), want) {
			t.Errorf("the unit lacks %q:\n%s", want, unit)
		}
	}
	// And util-linux leaves out what is for systemd.
	line, err = m.FSTab(p.target, FSTabOptions{Systemd: true})
	if err != nil {
		t.Fatal(err)
	}
	mountFSTab(t, "mount", line.Text, p.target)
	if err := m.check(t.Context(), p.target); err != nil {
		t.Error(err)
	}
	p.unmount(t)
}
