// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Inputs are what [Detect] reads about a machine. The zero value is the
// machine that the program runs on; tests fill in another.
type Inputs struct {
	// Root is the root directory of the machine: proc/cpuinfo and bin/sh are
	// read from it. Nil means "/".
	Root fs.FS
	// Uname tells the machine that uname(2) names to a process under the
	// given personality(2). Nil means to ask the kernel.
	Uname func(Personality) (machine string, err error)
	// ATPlatform tells the AT_PLATFORM string that the kernel passed to this
	// process, see getauxval(3). Nil means to read it.
	ATPlatform func() (string, error)
	// Userland overrules what Root's programs say of the system. Empty means
	// [UserlandAuto].
	Userland Userland
}

// Personality is the execution domain to ask uname(2) under, see
// personality(2).
type Personality int

// The personalities that matter here.
const (
	PersonalityCurrent Personality = iota // as the process runs
	PersonalityLinux                      // PER_LINUX: the kernel's own machine
	PersonalityLinux32                    // PER_LINUX32: its 32-bit sister; an error means that there is none
)

// Userland says how wide the programs are for which an image is wanted.
type Userland string

// The userlands.
const (
	// UserlandAuto takes the system's own: the ELF class of its /bin/sh.
	// The other width comes second.
	UserlandAuto Userland = "auto"
	// Userland32 takes 32-bit images only.
	Userland32 Userland = "32"
	// Userland64 takes 64-bit images first, also under a 32-bit system.
	Userland64 Userland = "64"
)

// ParseUserland reads "32", "64", "auto" or, for auto, nothing.
func ParseUserland(s string) (Userland, error) {
	switch u := Userland(s); u {
	case "":
		return UserlandAuto, nil
	case UserlandAuto, Userland32, Userland64:
		return u, nil
	}
	return "", fmt.Errorf("parse userland %q: want 32, 64 or auto", s)
}

func (in Inputs) withDefaults() Inputs {
	if in.Root == nil {
		in.Root = os.DirFS("/")
	}
	if in.Uname == nil {
		in.Uname = uname
	}
	if in.ATPlatform == nil {
		in.ATPlatform = atPlatform
	}
	if in.Userland == "" {
		in.Userland = UserlandAuto
	}
	return in
}

// read returns the beginning of a file, at most limit bytes.
func (in Inputs) read(name string, limit int64) ([]byte, error) {
	f, err := in.Root.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return b, err
}
