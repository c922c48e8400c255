// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ReadSecret reads a line from a terminal that does not show it meanwhile
// (termios(3)).
func ReadSecret(ctx context.Context, terminal *os.File) (line string, err error) {
	fd := int(terminal.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", err
	}
	silent := *before
	silent.Lflag &^= unix.ECHO
	silent.Lflag |= unix.ICANON | unix.ISIG
	silent.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unix.IoctlSetTermios(fd, unix.TCSETS, before)) }()
	return ReadLine(ctx, terminal)
}

// ReadLine reads one line without its end; the last may have none. It gives up
// with the context.
func ReadLine(ctx context.Context, r io.Reader) (string, error) {
	return Await(ctx, func() (string, error) { return readLine(r) })
}

// maxSecret bounds a line that is a password or a token.
const maxSecret = 64 << 10

func readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxSecret)).ReadString('\n')
	if err != nil && (err != io.EOF || line == "") {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}
