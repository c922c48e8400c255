// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"fmt"
	"io/fs"
)

// The start of an ELF file, see elf(5). debug/elf has these words too, and with
// them debug/dwarf and a decoder of zstd.
const (
	elfMagic   = "\x7fELF"
	elfClass   = 4 // EI_CLASS, the place of the class
	elfClass32 = 1 // ELFCLASS32
	elfIdent   = 16
)

// programs are files that every system has one of, the likeliest first. Their
// ELF class tells whether the system is a 32-bit or a 64-bit one. The dynamic
// loaders come last: a system may have those of both.
var programs = []string{
	"bin/sh", "usr/bin/env", "sbin/init", "usr/bin/sh", "init",
	"lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1", "lib/ld-linux-armhf.so.3", "lib/ld-linux.so.3", "lib/ld-linux.so.2",
}

// runs32 says whether the 64-bit kernel runs 32-bit code, and if not why.
func (d *detection) runs32(arch string) (bool, string) {
	if arch == "amd64" {
		return d.runsIA32()
	}
	m, err := d.in.Uname(PersonalityLinux32)
	const source = "personality(PER_LINUX32) and uname"
	switch {
	case err != nil:
		d.fact("32-bit code", "no", fmt.Sprintf("personality(PER_LINUX32): %v", err))
		return false, "its CPUs or its kernel run no 32-bit code"
	case architecture(m) == arch:
		d.fact("32-bit code", "not proven: still "+m, source)
		return false, "that it runs 32-bit code is not proven"
	}
	d.fact("32-bit code", "yes: "+m, source)
	return true, ""
}

// runsIA32 looks for a sysctl that only a kernel with IA32 emulation has:
// there personality(2) proves nothing, it always says i686. See
// Documentation/admin-guide/sysctl/abi.rst and arch/x86/entry/vdso/vdso32-setup.c.
func (d *detection) runsIA32() (bool, string) {
	const file = "proc/sys/abi/vsyscall32"
	if _, err := fs.Stat(d.in.Root, file); err != nil {
		d.fact("32-bit code", "not proven", err.Error())
		return false, "that its kernel emulates IA32 is not proven"
	}
	d.fact("32-bit code", "yes", "/"+file)
	return true, ""
}

// userland is the width of the system's programs in bits: 64 where nothing
// says otherwise. A process that was told to see a 32-bit machine, as
// "linux32" and Docker do it, is told by that, not by the files.
func (d *detection) userland() int {
	current, err := d.in.Uname(PersonalityCurrent)
	wide, _ := d.in.Uname(PersonalityLinux)
	if err == nil && architecture(current) != architecture(wide) {
		d.fact("system", "32 bit", "uname under this process's personality: "+current)
		return 32
	}
	for _, name := range programs {
		b, err := d.in.read(name, elfIdent)
		if err != nil || len(b) < elfIdent || string(b[:4]) != elfMagic {
			continue
		}
		if b[elfClass] == elfClass32 {
			d.fact("system", "32 bit", "ELF class of /"+name)
			return 32
		}
		d.fact("system", "64 bit", "ELF class of /"+name)
		return 64
	}
	d.fact("system", "64 bit", "no program to tell it, so the kernel's width")
	return 64
}
