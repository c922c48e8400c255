// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"bufio"
	"bytes"
	"slices"
	"strings"
)

// cpuinfo is /proc/cpuinfo: the values of each key in order, one a CPU or one
// for all, as the architecture has it. Keys keep their case: kernels before
// 3.8 for ARM have "Processor", the model, beside "processor", the number.
type cpuinfo map[string][]string

const cpuinfoPath = "/proc/cpuinfo"

// readCPU reads the first megabyte, some hundred CPUs: that they differ, later
// ones from the first, the kernel hides from programs anyway.
func (d *detection) readCPU() cpuinfo {
	const limit = 1 << 20
	b, err := d.in.read(cpuinfoPath[1:], limit)
	if err != nil {
		d.fact("cpu", "unknown", err.Error())
	}
	return parseCPUInfo(b)
}

func parseCPUInfo(b []byte) cpuinfo {
	c := cpuinfo{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, len(b)+1)
	for lines.Scan() {
		if k, v, ok := strings.Cut(lines.Text(), ":"); ok {
			k = strings.TrimSpace(k)
			c[k] = append(c[k], strings.TrimSpace(v))
		}
	}
	return c
}

// models are the CPUs' names.
func (c cpuinfo) models() []string {
	return slices.Concat(c["model name"], c["Processor"])
}

// features are the flags under the key ("Features" for ARM, "flags" for x86)
// that the first CPU has; nil where there are none to read, as where cpuinfo
// is that of an emulator's host. The kernel shows only what all CPUs have.
func (c cpuinfo) features(key string) map[string]bool {
	v := c[key]
	if len(v) == 0 {
		return nil
	}
	has := map[string]bool{}
	for f := range strings.FieldsSeq(v[0]) {
		has[f] = true
	}
	return has
}
