// SPDX-License-Identifier: Apache-2.0

package registrytest

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// ClosedPort is the host:port of this machine at which nobody listens until it
// is released. It is held, so that no server of another test gets it meanwhile.
func ClosedPort() (host string, release func()) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		panic(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port), func() { unix.Close(fd) }
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
