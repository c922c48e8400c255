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

// ReadSecret reads a line from a terminal, which does not show what is typed meanwhile
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

// ReadLine reads one line, of 64 KiB at most, and returns it without the line break. It
// returns early when the context is done. Bytes behind the line may be lost.
func ReadLine(ctx context.Context, r io.Reader) (string, error) {
	return Await(ctx, func() (string, error) { return readLine(r) })
}

// maxSecret bounds the bytes of a password or a token.
const maxSecret = 64 << 10

func readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxSecret)).ReadString('\n')
	if err != nil && (err != io.EOF || line == "") {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}
