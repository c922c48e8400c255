// SPDX-License-Identifier: Apache-2.0

package platform

import "strings"

// level is a step of an architecture and what it adds to the one before, as
// the flags of /proc/cpuinfo.
type level struct {
	name string
	adds string
}

// The levels of x86-64, from its psABI; v1 is the architecture itself. The
// kernel calls SSE3 pni, LZCNT abm and LAHF in 64-bit mode lahf_lm; OSXSAVE
// follows from avx, which it hides where it does not save the registers.
var amd64Levels = []level{
	{"v2", "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"},
	{"v3", "avx avx2 bmi1 bmi2 f16c fma abm movbe"},
	{"v4", "avx512f avx512bw avx512cd avx512dq avx512vl"},
}

// The levels of the A profile: of what each makes mandatory (Arm ARM, A2),
// what Documentation/arch/arm64/elf_hwcaps.rst has a flag for. A kernel
// without pointer authentication or BTI stops the climb below the CPU's own
// level, which is right: code of that level may use it.
var arm64Levels = []level{
	{"v8.1", "atomics asimdrdm crc32"},
	{"v8.2", "dcpop"},
	{"v8.3", "jscvt fcma lrcpc paca pacg"},
	{"v8.4", "dit uscat ilrcpc flagm asimddp"},
	{"v8.5", "sb flagm2 frint dcpodp bti"},
	{"v9", "sve2"},
}

func (d *detection) amd64Level() string { return d.level("v1", "flags", amd64Levels) }

func (d *detection) arm64Level() string {
	for _, a := range d.architectures() {
		d.fact("cpu architecture", a, cpuinfoPath+": CPU architecture")
	}
	return d.level("v8", "Features", arm64Levels)
}

// level climbs as long as every flag is there.
func (d *detection) level(base, key string, levels []level) string {
	has := d.cpu.features(key)
	name, source := base, "what every such machine is"
	for _, l := range levels {
		if lacks := missing(has, l.adds); len(lacks) > 0 {
			if has != nil {
				source += "; for " + l.name + " it lacks " + strings.Join(lacks, " ")
			}
			break
		}
		name, source = l.name, cpuinfoPath+": "+key
	}
	d.fact("variant", name, source)
	return name
}

// missing are those of the flags that are not there.
func missing(has map[string]bool, flags string) []string {
	var m []string
	for f := range strings.FieldsSeq(flags) {
		if !has[f] {
			m = append(m, f)
		}
	}
	return m
}
