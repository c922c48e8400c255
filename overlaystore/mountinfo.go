// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// mountEntry is one line of mountinfo (proc_pid_mountinfo(5)).
type mountEntry struct {
	id           string
	device       string // major:minor
	target       string
	options      []string
	fsType       string
	source       string
	superOptions []string
}

// readMounts reads the mounts of the process proc, "self" or a number.
func readMounts(proc string) ([]mountEntry, error) {
	f, err := os.Open("/proc/" + proc + "/mountinfo")
	if err != nil {
		return nil, err
	}
	list, err := parseMounts(f)
	return list, errors.Join(err, f.Close())
}

// parseMounts reads lines of any length: one for 500 layers takes 50 KB.
func parseMounts(r io.Reader) ([]mountEntry, error) {
	var list []mountEntry
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			e, ok := parseMount(string(bytes.TrimSuffix(line, []byte("\n"))))
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

func parseMount(line string) (mountEntry, bool) {
	before, after, ok := strings.Cut(line, " - ")
	head, tail := strings.Split(before, " "), strings.Split(after, " ")
	if !ok || len(head) < 6 || len(tail) < 3 {
		return mountEntry{}, false
	}
	return mountEntry{
		id:           head[0],
		device:       head[2],
		target:       unescapeOctal(head[4]),
		options:      strings.Split(head[5], ","),
		fsType:       tail[0],
		source:       unescapeOctal(tail[1]),
		superOptions: strings.Split(tail[2], ","),
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

// lower are the lower dirs of an overlay as the kernel shows them: each in an
// option of its own, or all in one with colons between.
func (e mountEntry) lower() []string {
	var dirs []string
	for _, o := range e.superOptions {
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

// option is the value of one of the filesystem's options, "" without it.
func (e mountEntry) option(key string) string {
	for _, o := range e.superOptions {
		if v, ok := strings.CutPrefix(o, key+"="); ok {
			return unescapeOctal(v)
		}
	}
	return ""
}

// dirs are the directories that an option may mean: the kernel shows one that
// was given by descriptor as it is, and one that was given by name as it was
// written, with backslashes before commas, colons and backslashes.
func (e mountEntry) dirs(key string) []string {
	given := e.option(key)
	if given == "" {
		return nil
	}
	return slices.Compact([]string{given, strings.NewReplacer(`\\`, `\`, `\,`, ",", `\:`, ":").Replace(given)})
}

// upper is the upper dir, the one of its meanings that there is.
func (e mountEntry) upper() string {
	for _, dir := range e.dirs("upperdir") {
		if _, err := os.Lstat(dir); err == nil {
			return dir
		}
	}
	return e.option("upperdir")
}

// mountAt is the mount that is topmost at target, an absolute path without
// symbolic links.
func mountAt(target string) (mountEntry, error) {
	list, err := readMounts("self")
	if err != nil {
		return mountEntry{}, err
	}
	// The kernel lists them in the order in which they were made, roughly; of
	// several at one target the last is seen.
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].target == target && list[i].fsType == fuseType {
			return fuseMountAt(list[i]), nil
		}
		if list[i].target == target {
			return list[i], nil
		}
	}
	return mountEntry{}, fmt.Errorf("no mount at %q: %w", target, ErrNotFound)
}
