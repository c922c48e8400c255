// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"debug/elf"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// machineInputs are the inputs of a machine in testdata/hosts, whose README
// says what the files hold and where they are from.
func machineInputs(t *testing.T, name string) Inputs {
	t.Helper()
	dir := filepath.Join("testdata", "hosts", name)
	facts := map[string]string{}
	for line := range strings.Lines(string(read(t, filepath.Join(dir, "facts")))) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), ": ")
		facts[k] = v
	}
	root := fstest.MapFS{"proc/cpuinfo": {Data: read(t, filepath.Join(dir, "cpuinfo"))}}
	switch facts["sh"] {
	case "32":
		root["bin/sh"] = &fstest.MapFile{Data: elfHeader(elf.ELFCLASS32)}
	case "64":
		root["bin/sh"] = &fstest.MapFile{Data: elfHeader(elf.ELFCLASS64)}
	}
	if strings.HasPrefix(facts["linux"], "x86_64") {
		root["proc/sys/abi/vsyscall32"] = &fstest.MapFile{Data: []byte("1\n")}
	}
	answer := func(s string) (string, error) {
		if s == "" || s == "none" || s[0] == 'E' {
			return "", errors.New(s)
		}
		return s, nil
	}
	return Inputs{
		Root: root,
		Uname: func(p Personality) (string, error) {
			return answer(facts[map[Personality]string{
				PersonalityCurrent: "uname", PersonalityLinux: "linux", PersonalityLinux32: "linux32",
			}[p]])
		},
		ATPlatform: func() (string, error) { return answer(facts["at_platform"]) },
	}
}

func elfHeader(class elf.Class) []byte {
	h := make([]byte, elf.EI_NIDENT)
	copy(h, elf.ELFMAG)
	h[elf.EI_CLASS], h[elf.EI_DATA], h[elf.EI_VERSION] = byte(class), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	return h
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readIndex returns the entries of an index in testdata/manifests.
func readIndex(t *testing.T, name string) []ocispec.Descriptor {
	t.Helper()
	var x ocispec.Index
	if err := json.Unmarshal(read(t, "../testdata/manifests/"+name+".json"), &x); err != nil {
		t.Fatal(err)
	}
	return x.Manifests
}

func TestDetect(t *testing.T) {
	tests := []struct{ machine, want, other string }{
		{"pi-zero-w", "linux/arm/v6", ""},
		{"pi-1", "linux/arm/v6", ""},
		{"pi-1-old-kernel", "linux/arm/v6", ""},
		{"pi-2", "linux/arm/v7", ""},
		{"pi-3-32", "linux/arm/v7", ""},
		{"pi-3-64", "linux/arm64/v8", "linux/arm/v8"},
		{"pi-4-32", "linux/arm/v7", ""},
		{"pi-4-64", "linux/arm64/v8", "linux/arm/v8"},
		{"pi-4-32-on-64", "linux/arm/v8", "linux/arm64/v8"},
		{"pi-5-64", "linux/arm64/v8.2", "linux/arm/v8"},
		{"pi-5-32-on-64", "linux/arm/v8", "linux/arm64/v8.2"},
		{"graviton1", "linux/arm64/v8", "linux/arm/v8"},
		{"graviton2", "linux/arm64/v8.2", "linux/arm/v8"},
		{"graviton3", "linux/arm64/v8.4", "linux/arm/v8"},
		{"graviton4", "linux/arm64/v9", ""},
		{"graviton2-armv8l-container", "linux/arm/v8", "linux/arm64/v8.2"},
		{"armv8l-no-personality", "linux/arm/v8", ""},
		{"apple-m1-vm", "linux/arm64/v8.4", ""},
		{"apple-m3-vm", "linux/arm64/v8.4", ""},
		{"apple-m1-rosetta", "linux/amd64/v1", "linux/386"},
		{"sheevaplug-qnap-ts419", "linux/arm/v5", ""},
		{"ast2500-bmc", "linux/arm/v5", ""}, // ARMv6, but v6 images need its missing FPU
		{"arm1136-6tej", "linux/arm/v6", ""},
		{"allwinner-h3-old-kernel", "linux/arm/v7", ""},
		{"armada-385", "linux/arm/v7", ""},
		{"qemu-arm-arm926-on-x86", "linux/arm/v5", ""},
		{"qemu-arm-arm1176-on-x86", "linux/arm/v6", ""},
		{"qemu-arm-cortex-a7-on-x86", "linux/arm/v7", ""},
		{"qemu-arm-max-on-x86", "linux/arm/v7", ""},
		{"qemu-arm-v6-on-arm64", "linux/arm/v6", ""},
		{"qemu-aarch64-on-x86", "linux/arm64/v8", ""},
		{"x86-64-v1-virtualbox", "linux/amd64/v1", "linux/386"},
		{"x86-64-v1-qemu64", "linux/amd64/v1", "linux/386"},
		{"x86-64-v2-nehalem", "linux/amd64/v2", "linux/386"},
		{"x86-64-v2-piledriver", "linux/amd64/v2", "linux/386"},
		{"x86-64-v3-epyc", "linux/amd64/v3", "linux/386"},
		{"x86-64-v4-tiger-lake", "linux/amd64/v4", "linux/386"},
		{"x86-64-linux32", "linux/386", "linux/amd64/v4"},
		{"x86-32-kernel", "linux/386", ""},
		{"visionfive2", "linux/riscv64", ""},
		{"s390x-kvm", "linux/s390x", ""},
		{"loongson-3a5000", "linux/loong64", ""},
		{"power7", "linux/ppc64", ""},
	}
	seen := map[string]bool{"README.md": true}
	for _, tt := range tests {
		seen[tt.machine] = true
		t.Run(tt.machine, func(t *testing.T) {
			h := Detect(machineInputs(t, tt.machine))
			other := ""
			if h.Other != nil {
				other = Format(*h.Other)
			}
			if got := Format(h.Platform); got != tt.want || other != tt.other {
				t.Errorf("got %s and %q, want %s and %q\n%+v", got, other, tt.want, tt.other, h.Facts)
			}
			for _, f := range h.Facts {
				if f.Name == "" || f.Value == "" || f.Source == "" {
					t.Errorf("fact says nothing: %+v", f)
				}
			}
		})
	}
	entries, err := os.ReadDir("testdata/hosts")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !seen[e.Name()] {
			t.Errorf("testdata/hosts/%s is not in the table", e.Name())
		}
	}
}

func TestDetectUserland(t *testing.T) {
	tests := []struct {
		machine    string
		userland   Userland
		want       string
		other, why string
	}{
		{"pi-4-32-on-64", Userland64, "linux/arm64/v8", "linux/arm/v8", ""},
		{"pi-4-32-on-64", Userland32, "linux/arm/v8", "", "32-bit images only were asked for"},
		{"pi-4-64", Userland32, "linux/arm/v8", "", "32-bit images only were asked for"},
		{"pi-4-64", UserlandAuto, "linux/arm64/v8", "linux/arm/v8", ""},
		{"apple-m1-vm", Userland64, "linux/arm64/v8.4", "", "its CPUs or its kernel run no 32-bit code"},
		{"x86-64-v3-epyc", Userland32, "linux/386", "", "32-bit images only were asked for"},
	}
	for _, tt := range tests {
		t.Run(tt.machine+" "+string(tt.userland), func(t *testing.T) {
			in := machineInputs(t, tt.machine)
			in.Userland = tt.userland
			h := Detect(in)
			other := ""
			if h.Other != nil {
				other = Format(*h.Other)
			}
			if got := Format(h.Platform); got != tt.want || other != tt.other || h.Why != tt.why {
				t.Errorf("got %s, %q, %q", got, other, h.Why)
			}
		})
	}
	t.Run("32 where there is no 32-bit code is doubtful", func(t *testing.T) {
		in := machineInputs(t, "apple-m1-vm")
		in.Userland = Userland32
		if h := Detect(in); h.Warning == "" {
			t.Errorf("got no warning: %+v", h)
		}
	})
}

// Nothing to read is no reason to fail, or to believe too much.
func TestDetectNothing(t *testing.T) {
	nothing := errors.New("not here")
	in := Inputs{
		Root:       fstest.MapFS{},
		Uname:      func(Personality) (string, error) { return "", nothing },
		ATPlatform: func() (string, error) { return "", nothing },
	}
	if got, want := Format(Detect(in).Platform), `linux/""`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	in.Uname = func(p Personality) (string, error) {
		if p == PersonalityLinux32 {
			return "", nothing
		}
		return "armhuh", nil
	}
	if got, want := Format(Detect(in).Platform), "linux/arm/v5"; got != want {
		t.Errorf("an ARM of unknown version: got %s, want %s", got, want)
	}
	in.Uname = func(Personality) (string, error) { return "x86_64", nil }
	if h := Detect(in); h.Other != nil || Format(h.Platform) != "linux/amd64/v1" {
		t.Errorf("an x86-64 that shows nothing: got %s, %v", Format(h.Platform), h.Other)
	}
}

// This machine: whatever it is, the kernel must answer, and the threads that
// ask under another personality must not leave it behind.
func TestDetectThisMachine(t *testing.T) {
	before, err := uname(PersonalityCurrent)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if h := Detect(Inputs{}); h.Platform.Architecture == "" {
			t.Fatalf("got %+v", h)
		}
	}
	for range 100 {
		after := make(chan string)
		go func() {
			m, _ := uname(PersonalityCurrent)
			after <- m
		}()
		if got := <-after; got != before {
			t.Fatalf("uname: got %s, want %s", got, before)
		}
	}
}
