// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// uname asks on a thread of its own, which ends with its personality: the
// goroutine never unlocks it, so the runtime throws it away. See personality(2)
// and https://pkg.go.dev/runtime#LockOSThread.
func uname(p Personality) (string, error) {
	if p == PersonalityCurrent {
		return machine()
	}
	type answer struct {
		machine string
		err     error
	}
	c := make(chan answer)
	go func() {
		runtime.LockOSThread()
		err := setPersonality(p)
		var m string
		if err == nil {
			m, err = machine()
		}
		c <- answer{m, err}
	}()
	a := <-c
	return a.machine, a.err
}

// setPersonality changes the calling thread's. A kernel for arm64 refuses
// PER_LINUX32 with EINVAL where no CPU runs AArch32 code.
func setPersonality(p Personality) error {
	const (
		perLinux   = 0x0000
		perLinux32 = 0x0008
	)
	want := uintptr(perLinux)
	if p == PersonalityLinux32 {
		want = perLinux32
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_PERSONALITY, want, 0, 0); errno != 0 {
		return fmt.Errorf("personality %#x: %w", want, errno)
	}
	return nil
}

func machine() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	return unix.ByteSliceToString(u.Machine[:]), nil
}

// atPlatform reads the string that AT_PLATFORM of the auxiliary vector points
// to. It lies in the process's own stack, outside Go's heap, and never moves.
func atPlatform() (string, error) {
	const (
		atPlatformKey = 15 // AT_PLATFORM in include/uapi/linux/auxvec.h
		longest       = 32
	)
	auxv, err := unix.Auxv()
	if err != nil {
		return "", fmt.Errorf("read the auxiliary vector: %w", err)
	}
	for _, kv := range auxv {
		if kv[0] != atPlatformKey || kv[1] == 0 {
			continue
		}
		var s []byte
		p := *(*unsafe.Pointer)(unsafe.Pointer(&kv[1]))
		for range longest {
			c := *(*byte)(p)
			if c == 0 {
				return string(s), nil
			}
			s, p = append(s, c), unsafe.Add(p, 1)
		}
	}
	return "", errors.New("the auxiliary vector has no AT_PLATFORM")
}
