// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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
	shell(t, fmt.Sprintf("%s -T %s %s", program, shellQuote(file), shellQuote(target)))
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

// formats are the printed forms, each with how it is used.
func formats() map[string]func(t *testing.T, program string, m *Mount, target string) {
	return map[string]func(*testing.T, string, *Mount, string){
		"sh": func(t *testing.T, program string, m *Mount, target string) {
			bin := t.TempDir()
			script := fmt.Sprintf("#!/bin/sh\nPATH=%s exec %s \"$@\"\n", shellQuote(os.Getenv("PATH")), program)
			if err := os.WriteFile(filepath.Join(bin, "mount"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			shell(t, line(t, m, target), "PATH="+bin+":"+os.Getenv("PATH"))
		},
		"fstab": func(t *testing.T, program string, m *Mount, target string) {
			text, err := m.FSTab(target, false)
			if err != nil {
				t.Fatal(err)
			}
			mountFSTab(t, program, text, target)
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
			// As containerd does, but for its way with long options.
			data := strings.Join(spec.Options[1:], ",")
			if err := fits(data); err != nil {
				t.Skipf("left to containerd's own chdir: %v", err)
			}
			var flags uintptr
			if spec.Options[0] == "ro" {
				flags = unix.MS_RDONLY
			}
			if err := unix.Mount(spec.Source, target, spec.Type, flags, data); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func TestFormatsMount(t *testing.T) {
	needsMount(t)
	s := reopen(t, filepath.Join(memoryDir(t), "store"), Options{})
	for n, which := range map[int][]string{
		1: {"sh", "fstab", "systemd", "containerd"}, 2: {"sh", "fstab", "systemd", "containerd"},
		40: {"fstab", "systemd", "containerd"}, 128: {"systemd"}, 499: {"systemd"}, 500: {"sh", "systemd"},
	} {
		m, err := s.Assemble(t.Context(), manyLayers(t, s, n), MountOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for name, program := range mountPrograms(t) {
			for _, format := range which {
				if n == 40 && format == "fstab" && name == "busybox" {
					continue // it reads 1023 bytes of a line
				}
				t.Run(fmt.Sprintf("%d layers %s %s", n, format, name), func(t *testing.T) {
					target := t.TempDir()
					unmountLater(t, target)
					formats()[format](t, program, m, target)
					checkManyLayers(t, target, n)
					if err := m.check(target); err != nil {
						t.Error(err)
					}
					if err := s.Unmount(t.Context(), target, UnmountOptions{}); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
	m, err := s.Assemble(t.Context(), manyLayers(t, s, 500), MountOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if line, err := m.FSTab("/x", false); err == nil || !strings.Contains(err.Error(), "systemd unit") {
		t.Errorf("500 layers in fstab: %.100q, error %v; want one that names the unit", line, err)
	}
}

func TestFormatsInOddPlaces(t *testing.T) {
	needsMount(t)
	for _, name := range []string{
		"with blank", "co:lon", "com,ma", `back\slash`, `end\`, `quo"te`, "apos'trophe", "dollar$HOME", "hash #", "per%cent %n", "ta\tb", "é",
	} {
		base := filepath.Join(memoryDir(t), name)
		s := reopen(t, filepath.Join(base, "store"), Options{})
		img := putImage(t, s, "odd/"+name, addLayer(t, s, "a", LayerRecord{}, regular("f", "x")))
		m, err := s.Assemble(t.Context(), img, MountOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for program, path := range mountPrograms(t) {
			for format, mount := range formats() {
				if format == "sh" {
					continue
				}
				t.Run(fmt.Sprintf("%q %s %s", name, format, program), func(t *testing.T) {
					target := filepath.Join(base, "target")
					if err := os.MkdirAll(target, 0o755); err != nil {
						t.Fatal(err)
					}
					unmountLater(t, target)
					if format == "fstab" && strings.Contains(name, `"`) {
						if _, err := m.FSTab(target, false); err == nil {
							t.Error("a line with a quotation mark, that no mount(8) takes")
						}
						return
					}
					mount(t, path, m, target)
					if _, err := os.Stat(filepath.Join(target, "f")); err != nil {
						t.Error(err)
					}
					if err := m.check(target); err != nil {
						t.Error(err)
					}
					if err := s.Unmount(t.Context(), target, UnmountOptions{}); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// systemd's own programs agree on the unit's name, and find nothing to say.
func TestUnitIsWhatSystemdWants(t *testing.T) {
	for _, path := range []string{"/", "/mnt", "/srv/my image", "/a-b/.c/é", "/.hidden", "//x//y/"} {
		want, err := exec.Command("systemd-escape", "--path", "--suffix=mount", path).Output()
		if err != nil {
			t.Skipf("needs systemd: %v", err)
		}
		if got := unitName(path); got != strings.TrimSpace(string(want)) {
			t.Errorf("unit name of %q: %q, want %q", path, got, want)
		}
	}
	s := openStore(t)
	m, err := s.Assemble(t.Context(), putImage(t, s, "a", addLayer(t, s, "a", LayerRecord{}, regular("f", "x"))), MountOptions{})
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
	m, err := p.s.Assemble(t.Context(), p.img, p.options())
	if err != nil {
		t.Fatal(err)
	}
	line, err := m.FSTab("/srv/my image", true)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "fstab")
	writeFile(t, file, line+"\n")
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
	line, err = m.FSTab(p.target, true)
	if err != nil {
		t.Fatal(err)
	}
	mountFSTab(t, "mount", line, p.target)
	if err := m.check(p.target); err != nil {
		t.Error(err)
	}
	p.unmount(t)
}
