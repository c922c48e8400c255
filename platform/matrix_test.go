// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"errors"
	"testing"
)

// columns are the indexes of the matrix; testdata/manifests/README.md says
// what they are.
var columns = []string{
	"alpine-3.20/index",
	"traefik-2018/docker-manifest-inspect",
	"shapes/debian-2017",
	"shapes/debian-attested",
	"shapes/busybox",
	"grafana-6.7.1/docker-manifest-inspect",
	"shapes/wrong-order",
	"shapes/arm-only-v7",
	"shapes/arm64-only",
	"scannerctl-0.1.1/index",
	"spegel-0.0.8/index",
	"shapes/dotnet-2018",
	"shapes/levels",
	"shapes/levels-high-only",
}

// rows are what runs on machines of one kind, a column each, as the index
// writes it. "-" is a refusal: nothing in that index runs there.
var rows = []struct {
	kind     string
	machines []string
	want     [14]string
}{
	{
		"ARMv5", []string{"sheevaplug-qnap-ts419", "qemu-arm-arm926-on-x86", "ast2500-bmc"},
		[...]string{"-", "-", "arm/v5", "arm/v5", "arm/v5", "-", "arm/v5", "-", "-", "-", "-", "-", "-", "-"},
	}, {
		"ARMv6", []string{"pi-zero-w", "pi-1", "pi-1-old-kernel", "arm1136-6tej", "qemu-arm-arm1176-on-x86", "qemu-arm-v6-on-arm64"},
		[...]string{"arm/v6", "arm/v6", "arm/v5", "arm/v5", "arm/v6", "-", "arm/v6", "-", "-", "-", "-", "-", "-", "-"},
	}, {
		"ARMv7, and 64-bit CPUs under a 32-bit kernel",
		[]string{"pi-2", "pi-3-32", "pi-4-32", "armada-385", "allwinner-h3-old-kernel", "qemu-arm-cortex-a7-on-x86", "qemu-arm-max-on-x86"},
		[...]string{"arm/v7", "arm/v6", "arm/v7", "arm/v7", "arm/v7", "arm", "arm/v7", "arm/v7", "-", "-", "arm/v7", "arm/armv7", "-", "-"},
	}, {
		"arm64 of the first hour, with 32-bit code", []string{"pi-3-64", "pi-4-64", "graviton1"},
		[...]string{"arm64/v8", "arm64/v8", "arm64/v8", "arm64/v8", "arm64/v8", "arm64", "arm64/v8", "arm/v7", "arm64", "arm64", "arm64", "arm/armv7", "arm64/v8", "-"},
	}, {
		"arm64 v8.2, with 32-bit code", []string{"pi-5-64", "graviton2"},
		[...]string{"arm64/v8", "arm64/v8", "arm64/v8", "arm64/v8", "arm64/v8", "arm64", "arm64/v8", "arm/v7", "arm64", "arm64", "arm64", "arm/armv7", "arm64/v8.2", "arm64/v8.2"},
	}, {
		"arm64 v8.4", []string{"graviton3"},
		[...]string{"arm64/v8", "arm64/v8", "arm64/v8", "arm64/v8", "arm64/v8", "arm64", "arm64/v8", "arm/v7", "arm64", "arm64", "arm64", "arm/armv7", "arm64/v8.2", "arm64/v8.2"},
	}, {
		"arm64 without 32-bit code", []string{"apple-m1-vm", "apple-m3-vm"},
		[...]string{"arm64/v8", "arm64/v8", "arm64/v8", "arm64/v8", "arm64/v8", "arm64", "arm64/v8", "-", "arm64", "arm64", "arm64", "-", "arm64/v8.2", "arm64/v8.2"},
	}, {
		"arm64 v9 without 32-bit code", []string{"graviton4"},
		[...]string{"arm64/v8", "arm64/v8", "arm64/v8", "arm64/v8", "arm64/v8", "arm64", "arm64/v8", "-", "arm64", "arm64", "arm64", "-", "arm64/v9", "arm64/v8.2"},
	}, {
		"arm64 where 32-bit code is not proven", []string{"qemu-aarch64-on-x86"},
		[...]string{"arm64/v8", "arm64/v8", "arm64/v8", "arm64/v8", "arm64/v8", "arm64", "arm64/v8", "-", "arm64", "arm64", "arm64", "-", "arm64/v8", "-"},
	}, {
		"a 32-bit system on a 64-bit ARM kernel", []string{"pi-4-32-on-64"},
		[...]string{"arm/v7", "arm/v6", "arm/v7", "arm/v7", "arm/v7", "arm", "arm/v8", "arm/v7", "arm64", "arm64", "arm/v7", "arm/armv7", "arm64/v8", "-"},
	}, {
		"the same on ARMv8.2", []string{"pi-5-32-on-64", "graviton2-armv8l-container"},
		[...]string{"arm/v7", "arm/v6", "arm/v7", "arm/v7", "arm/v7", "arm", "arm/v8", "arm/v7", "arm64", "arm64", "arm/v7", "arm/armv7", "arm64/v8.2", "arm64/v8.2"},
	}, {
		"the same where nobody may ask the kernel", []string{"armv8l-no-personality"},
		[...]string{"arm/v7", "arm/v6", "arm/v7", "arm/v7", "arm/v7", "arm", "arm/v8", "arm/v7", "-", "-", "arm/v7", "arm/armv7", "-", "-"},
	}, {
		"x86-64 v1", []string{"x86-64-v1-virtualbox", "x86-64-v1-qemu64", "apple-m1-rosetta"},
		[...]string{"amd64", "amd64", "amd64", "amd64", "amd64", "amd64", "amd64", "-", "amd64", "amd64", "amd64", "amd64", "amd64", "-"},
	}, {
		"x86-64 v2", []string{"x86-64-v2-nehalem", "x86-64-v2-piledriver"},
		[...]string{"amd64", "amd64", "amd64", "amd64", "amd64", "amd64", "amd64", "-", "amd64", "amd64", "amd64", "amd64", "amd64/v2", "-"},
	}, {
		"x86-64 v3", []string{"x86-64-v3-epyc"},
		[...]string{"amd64", "amd64", "amd64", "amd64", "amd64", "amd64", "amd64", "-", "amd64", "amd64", "amd64", "amd64", "amd64/v3", "amd64/v3"},
	}, {
		"x86-64 v4", []string{"x86-64-v4-tiger-lake"},
		[...]string{"amd64", "amd64", "amd64", "amd64", "amd64", "amd64", "amd64", "-", "amd64", "amd64", "amd64", "amd64", "amd64/v4", "amd64/v3"},
	}, {
		"a 32-bit system on a 64-bit x86 kernel", []string{"x86-64-linux32"},
		[...]string{"386", "amd64", "386", "386", "386", "amd64", "386", "-", "amd64", "amd64", "amd64", "amd64", "amd64/v4", "amd64/v3"},
	}, {
		"32-bit x86", []string{"x86-32-kernel"},
		[...]string{"386", "-", "386", "386", "386", "-", "386", "-", "-", "-", "-", "-", "-", "-"},
	}, {
		"riscv64", []string{"visionfive2"},
		[...]string{"riscv64", "-", "-", "riscv64", "riscv64", "-", "-", "-", "-", "-", "-", "-", "-", "-"},
	}, {
		"s390x", []string{"s390x-kvm"},
		[...]string{"s390x", "-", "s390x", "s390x", "s390x", "-", "-", "-", "-", "-", "-", "-", "-", "-"},
	}, {
		"big-endian POWER and LoongArch", []string{"power7", "loongson-3a5000"},
		[...]string{"-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"},
	},
}

// Every machine with every index: the entry that runs there, or a refusal.
func TestEveryMachineWithEveryIndex(t *testing.T) {
	machines := 0
	for _, row := range rows {
		for _, machine := range row.machines {
			machines++
			w := Detect(machineInputs(t, machine)).Wanted()
			for i, index := range columns {
				t.Run(machine+" of "+index, func(t *testing.T) {
					c, err := Choose(w, readIndex(t, index))
					got := "-"
					switch {
					case err == nil:
						got = Format(*c.Descriptor.Platform)[len("linux/"):]
					case !errors.Is(err, ErrNoMatch):
						t.Fatal(err)
					}
					if want := row.want[i]; got != want {
						t.Errorf("%s: got %s, want %s", row.kind, got, want)
					}
				})
			}
		}
	}
	if machines < 25 {
		t.Errorf("got %d machines, want 25", machines)
	}
}
