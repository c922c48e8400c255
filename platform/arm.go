// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// armVariant is the variant of a machine with a 32-bit ARM kernel: the lowest
// that any source tells. A source may say too much, none says too little:
// /proc/cpuinfo calls the ARM1176 of a Pi Zero 7 for its memory model and is
// the host's under qemu-user; uname and AT_PLATFORM are the emulator's there.
func (d *detection) armVariant() string {
	lowest, from := 0, ""
	consider := func(version int, source string) {
		if version != 0 && (lowest == 0 || version < lowest) {
			lowest, from = version, source
		}
	}
	if m, err := d.in.Uname(PersonalityCurrent); err == nil {
		consider(d.armSays("uname", m, armVersion(strings.TrimPrefix(m, "arm"))))
	}
	if p, err := d.in.ATPlatform(); err == nil {
		consider(d.armSays("AT_PLATFORM", p, armVersion(p)))
	} else {
		d.fact("cpu architecture", "unknown", "AT_PLATFORM: "+err.Error())
	}
	for _, a := range d.architectures() {
		consider(d.armSays(cpuinfoPath+": CPU architecture", a, armVersion("v"+a)))
	}
	if s := d.cpu.armv6(); s != "" {
		consider(6, cpuinfoPath+": "+s)
	}
	if lowest == 0 {
		d.fact("variant", "unknown, so the lowest", "no source tells it")
		return "v5"
	}
	lowest, from = d.hardFloat(lowest, from)
	v := "v" + strconv.Itoa(lowest)
	d.fact("variant", v, from)
	return v
}

// architectures are the values of "CPU architecture", each run of equal ones
// once. Every ARM kernel writes that line.
func (d *detection) architectures() []string {
	as := slices.Compact(slices.Clone(d.cpu["CPU architecture"]))
	if len(as) == 0 && len(d.cpu) > 0 {
		d.fact("cpu architecture", "unknown: it describes no ARM CPU, as under emulation", cpuinfoPath)
	}
	return as
}

func (d *detection) armSays(source, value string, version int) (int, string) {
	d.fact("cpu architecture", value, source)
	return version, source + " " + value
}

// armVersion reads the number in "v7l", "v6l", "v5TEJ", "v?(13)": what the
// kernel prints from arch/arm/kernel/setup.c and proc-*.S. 0 is unknown.
func armVersion(s string) int {
	if s == "aarch64" || s == "vAArch64" {
		return 8
	}
	if strings.HasPrefix(s, "v?(") {
		return 7 // an architecture the old kernel has no name for yet, all later than 6
	}
	if len(s) >= 2 && s[0] == 'v' && s[1] >= '3' && s[1] <= '9' {
		return int(s[1] - '0')
	}
	return 0
}

// armv6 says what betrays an ARMv6 CPU whatever its "CPU architecture" claims:
// the kernel calls an ARM11 with the ARMv7 memory model 7, but it runs no
// ARMv7 code. Empty where nothing does.
func (c cpuinfo) armv6() string {
	for _, m := range c.models() {
		if strings.HasPrefix(strings.ToLower(m), "armv6") {
			return "model name " + m
		}
	}
	// ARM1136, ARM1156, ARM1176, ARM11 MPCore: all that ARM made of ARMv6.
	arm11 := []string{"0xb36", "0xb56", "0xb76", "0xb02"}
	if slices.Contains(c["CPU implementer"], "0x41") {
		for _, p := range c["CPU part"] {
			if slices.Contains(arm11, p) {
				return "CPU part " + p
			}
		}
	}
	return ""
}

// hardFloat lowers a variant whose images use a floating point unit that the
// CPU lacks: v6 images are built for VFPv2 (as Alpine's armhf), v7 for VFPv3.
func (d *detection) hardFloat(version int, from string) (int, string) {
	has := d.cpu.features("Features")
	if has == nil || len(d.cpu["CPU architecture"]) == 0 || version < 6 {
		return version, from
	}
	v3 := has["vfpv3"] || has["vfpv3d16"] || has["vfpv4"] || has["neon"] || has["asimd"]
	switch {
	case version >= 7 && !v3 && has["vfp"]:
		return 6, fmt.Sprintf("%s: Features without vfpv3, though %s", cpuinfoPath, from)
	case !v3 && !has["vfp"] && !has["fp"]:
		return 5, fmt.Sprintf("%s: Features without vfp, though %s", cpuinfoPath, from)
	}
	return version, from
}
