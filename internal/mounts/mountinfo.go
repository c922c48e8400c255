// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Entry is one mount, as a line of mountinfo has it (proc_pid_mountinfo(5)).
type Entry struct {
	ID           string // no other mount that there is has it
	Target       string
	Options      []string // of the mount point
	Type         string   // of the filesystem
	Source       string
	SuperOptions []string // of the filesystem

	daemon string // the process of a mount by fuse-overlayfs
}

// readTable reads the mounts that the process proc sees, "self" or a number.
func readTable(ctx context.Context, proc string) ([]Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open("/proc/" + proc + "/mountinfo")
	if err != nil {
		return nil, err
	}
	list, err := parse(ctx, f)
	return list, errors.Join(err, f.Close())
}

// parse reads lines of any length: one for 500 layers takes 50 KB. When ctx ends
// it gives what it has.
func parse(ctx context.Context, r io.Reader) ([]Entry, error) {
	var list []Entry
	br := bufio.NewReader(r)
	for {
		if err := ctx.Err(); err != nil {
			return list, err
		}
		line, err := br.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			e, ok := parseLine(string(bytes.TrimSuffix(line, []byte("\n"))))
			if !ok {
				return nil, fmt.Errorf("mountinfo has a line that makes no sense: %.200q", line)
			}
			list = append(list, e)
		}
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func parseLine(line string) (Entry, bool) {
	before, after, ok := strings.Cut(line, " - ")
	head, tail := strings.Split(before, " "), strings.Split(after, " ")
	if !ok || len(head) < 6 || len(tail) < 3 {
		return Entry{}, false
	}
	return Entry{
		ID:           head[0],
		Target:       unescapeOctal(head[4]),
		Options:      strings.Split(head[5], ","),
		Type:         tail[0],
		Source:       unescapeOctal(tail[1]),
		SuperOptions: strings.Split(tail[2], ","),
	}, true
}

// unescapeOctal undoes the kernel's mangling of blanks and the like: \040.
func unescapeOctal(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && isOctal(s[i+1]) && isOctal(s[i+2]) && isOctal(s[i+3]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isOctal(c byte) bool { return c >= '0' && c <= '7' }

// Lower are the lower dirs of an overlay as the kernel shows them: each in an
// option of its own, or all in one with colons between.
func (e Entry) Lower() []string {
	var dirs []string
	for _, o := range e.SuperOptions {
		if dir, ok := strings.CutPrefix(o, "lowerdir+="); ok {
			dirs = append(dirs, unescapeOctal(dir))
		} else if all, ok := strings.CutPrefix(o, "lowerdir="); ok {
			dirs = append(dirs, splitLower(unescapeOctal(all))...)
		}
	}
	return dirs
}

// splitLower splits the value of lowerdir, which the kernel shows as it was
// given, with backslashes before colons, commas and backslashes.
func splitLower(all string) []string {
	var dirs []string
	var b strings.Builder
	for i := 0; i < len(all); i++ {
		switch {
		case all[i] == '\\' && i+1 < len(all):
			i++
			b.WriteByte(all[i])
		case all[i] == ':':
			dirs = append(dirs, b.String())
			b.Reset()
		default:
			b.WriteByte(all[i])
		}
	}
	return append(dirs, b.String())
}

// Option is the value of one of the filesystem's options, "" without it.
func (e Entry) Option(key string) string {
	for _, o := range e.SuperOptions {
		if v, ok := strings.CutPrefix(o, key+"="); ok {
			return unescapeOctal(v)
		}
	}
	return ""
}

// Dirs are the directories that an option may mean: the kernel shows one that
// was given by descriptor as it is, and one that was given by name as it was
// written, with backslashes before commas, colons and backslashes.
func (e Entry) Dirs(key string) []string {
	given := e.Option(key)
	if given == "" {
		return nil
	}
	return slices.Compact([]string{given, strings.NewReplacer(`\\`, `\`, `\,`, ",", `\:`, ":").Replace(given)})
}

// Upper is the upper dir: of what the option may mean, what exists.
func (e Entry) Upper() string {
	for _, dir := range e.Dirs("upperdir") {
		if _, err := os.Lstat(dir); err == nil {
			return dir
		}
	}
	return e.Option("upperdir")
}

// ReadOnly reports whether nothing can be written through the mount.
func (e Entry) ReadOnly() bool {
	return slices.Contains(e.Options, "ro") || slices.Contains(e.SuperOptions, "ro")
}

// At is the mount that the caller sees at target, an absolute path without
// symbolic links; false where none is.
func At(ctx context.Context, target string) (Entry, bool, error) {
	list, err := readTable(ctx, "self")
	if err != nil {
		return Entry{}, false, err
	}
	// The kernel lists them in the order in which they were made, roughly; of
	// several at one target the last is seen.
	for _, e := range slices.Backward(list) {
		if e.Target == target && e.Type == FUSEType {
			return withOptions(ctx, e), true, nil
		}
		if e.Target == target {
			return e, true, nil
		}
	}
	return Entry{}, false, nil
}

// Detach takes the mount away that is on top at target, be it in use or its process
// dead. An ordinary user may do so with FUSE, by fusermount(1).
func Detach(target string) error {
	err := unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err == unix.EPERM && os.Geteuid() != 0 {
		err = exec.Command("fusermount3", "-uz", "--", target).Run()
	}
	return err
}
