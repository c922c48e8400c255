// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"encoding/binary"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Host is what a machine can run, and how that was found out.
type Host struct {
	// Platform is the one that fits best: for a 32-bit system on a 64-bit
	// kernel the 32-bit one. Its Variant is set where the architecture has
	// variants and this machine's was recognised.
	Platform ocispec.Platform
	// Other is the sister architecture of the other width, where the kernel
	// was seen to run it too; nil where it does not, or nobody knows.
	Other *ocispec.Platform
	// Facts are what was read, in the order in which it was considered.
	Facts []Fact
	// Why says why there is no Other, in words; empty where there is one or
	// where the architecture has no sister.
	Why string
	// Warning says what is doubtful about Platform; empty where nothing is.
	Warning string
}

// Fact is one thing that was learnt about a machine. Value and Source quote
// files and the kernel as they are; a container's may be anybody's.
type Fact struct {
	Name   string // what it is about: "kernel", "variant", "system", "32-bit code"
	Value  string // as it was read, or as it follows
	Source string // where from: "uname", "/proc/cpuinfo: CPU part 0xb76"
}

// Detect finds out what the machine behind in can run. It cannot fail: what
// cannot be read is a Fact that says so, and the Host is the more careful.
func Detect(in Inputs) Host {
	d := detection{in: in.withDefaults()}
	d.cpu = d.readCPU()
	kernel := d.kernel()
	k := ocispec.Platform{OS: "linux", Architecture: kernel}
	switch kernel {
	case "arm64":
		return d.host64(k, d.arm64Level(), ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v8"})
	case "amd64":
		return d.host64(k, d.amd64Level(), ocispec.Platform{OS: "linux", Architecture: "386"})
	case "arm":
		k.Variant = d.armVariant()
	}
	return Host{Platform: k, Facts: d.facts}
}

type detection struct {
	in    Inputs
	cpu   cpuinfo
	facts []Fact
}

func (d *detection) fact(name, value, source string) {
	d.facts = append(d.facts, Fact{name, value, source})
}

// kernel is the architecture of the kernel, as Go and OCI name it.
func (d *detection) kernel() string {
	m, err := d.in.Uname(PersonalityLinux)
	if err != nil {
		d.fact("kernel", "unknown under its own personality", err.Error())
		if m, err = d.in.Uname(PersonalityCurrent); err != nil {
			d.fact("kernel", "unknown", err.Error())
			return ""
		}
	}
	d.fact("kernel", m, "uname")
	return architecture(m)
}

// architecture translates uname's machine. The kernel's names are in
// arch/*/Makefile and asm/compat.h (UTS_MACHINE, COMPAT_UTS_MACHINE).
func architecture(machine string) string {
	switch m := strings.ToLower(machine); {
	case m == "x86_64" || m == "amd64":
		return "amd64"
	case len(m) == 4 && m[0] == 'i' && strings.HasSuffix(m, "86"):
		return "386"
	case m == "aarch64" || m == "arm64":
		return "arm64"
	case m == "aarch64_be":
		return "arm64be"
	case strings.HasPrefix(m, "armv") && strings.HasSuffix(m, "b"):
		return "armbe"
	case strings.HasPrefix(m, "arm"):
		return "arm"
	case m == "loongarch64":
		return "loong64"
	case m == "mips" || m == "mips64":
		return m + mipsEndian()
	default:
		return m // riscv64, ppc64le, s390x, mips64 ... are called the same
	}
}

// mipsEndian is what Go and OCI append for little-endian MIPS, which uname does
// not tell apart. A process there has the byte order of its kernel.
func mipsEndian() string {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return "le"
	}
	return ""
}

// host64 is the host of a 64-bit kernel, whose sister runs the 32-bit code.
func (d *detection) host64(wide ocispec.Platform, level string, narrow ocispec.Platform) Host {
	wide.Variant = level
	runs, why := d.runs32(wide.Architecture)
	h := Host{Platform: wide}
	switch {
	case d.in.Userland == Userland32:
		d.fact("system", "32 bit", "the caller")
		h = Host{Platform: narrow, Why: "32-bit images only were asked for"}
		if !runs {
			h.Warning = "32-bit images were asked for, but of this machine: " + why
		}
	case !runs:
		h.Why = why
	case d.in.Userland == Userland64:
		d.fact("system", "64 bit", "the caller")
		h.Other = &narrow
	case d.userland() == 32:
		h = Host{Platform: narrow, Other: &wide}
	default:
		h.Other = &narrow
	}
	h.Facts = d.facts
	return h
}
