// SPDX-License-Identifier: Apache-2.0

package args

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/overlaymount"
)

// HelperName is the program that mount(8) calls for the filesystem type
// layerctl: SPEC DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE].
const HelperName = "mount." + overlaymount.HelperType

// MountHelperArgs returns the arguments of the helper, and whether this process is the
// helper: by its name or by the first argument.
func MountHelperArgs(args []string) ([]string, bool) {
	switch {
	case len(args) > 0 && filepath.Base(args[0]) == HelperName:
		return args[1:], true
	case len(args) > 1 && args[1] == HelperName:
		return args[2:], true
	}
	return nil, false
}

// MountCall is a call of the helper by mount(8).
type MountCall struct {
	operands           []string // SPEC and DIR
	options            []string
	Fake, sloppy       bool
	verbose, readOnly  bool
	upper, work, idmap string
	global, local      []string // flags of layerctl, and of layerctl mount
}

// Command returns the arguments for layerctl that do what the call asks for.
func (h *MountCall) Command() []string {
	args := slices.Concat([]string{"layerctl"}, h.global, []string{"mount", "--once", "--stack"}, h.local)
	for flag, value := range map[string]string{"--upper": h.upper, "--work": h.work, "--idmap": h.idmap} {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	if h.Fake {
		args = append(args, "--print")
	}
	if h.verbose {
		args = append(args, "--verbose")
	}
	return slices.Concat(args, []string{"--"}, h.operands)
}

// ParseMountHelper parses the arguments that mount(8) gives to its helper.
func ParseMountHelper(args []string) (*MountCall, error) {
	h := &MountCall{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if len(arg) < 2 || arg[0] != '-' {
			h.operands = append(h.operands, arg)
			continue
		}
		var err error
		if args, err = h.flags(arg[1:], args); err != nil {
			return nil, err
		}
	}
	if len(h.operands) != 2 {
		return nil, &UsageError{Problem: fmt.Sprintf("%s takes a reference and a directory, and got %q", HelperName, h.operands), Advice: "mount -t layerctl -o store=DIR REF TARGET"}
	}
	for _, o := range h.options {
		if err := h.option(o); err != nil {
			return nil, err
		}
	}
	if h.readOnly && h.upper != "" {
		return nil, &UsageError{Problem: "ro and upper= exclude each other", Advice: "an image is mounted read-only without upper= and work="}
	}
	return h, nil
}

// flags parses the letters of one argument, such as "vo". The value of a letter is the
// rest of the argument, or the first of rest. It returns the arguments that are left.
func (h *MountCall) flags(letters string, rest []string) ([]string, error) {
	for i := range len(letters) {
		if !strings.Contains("oNt", letters[i:i+1]) {
			if err := h.letter(letters[i]); err != nil {
				return nil, err
			}
			continue
		}
		value := letters[i+1:]
		if value == "" && len(rest) == 0 {
			return nil, &UsageError{Problem: fmt.Sprintf("-%c needs a value", letters[i])}
		}
		if value == "" {
			value, rest = rest[0], rest[1:]
		}
		switch letters[i] {
		case 'o':
			h.options = append(h.options, strings.Split(value, ",")...)
		case 'N':
			return nil, &UsageError{Problem: HelperName + " does not mount in another namespace", Advice: "run mount in it, with nsenter --mount"}
		}
		break
	}
	return rest, nil
}

func (h *MountCall) letter(letter byte) error {
	switch letter {
	case 'f':
		h.Fake = true
	case 's':
		h.sloppy = true
	case 'v':
		h.verbose = true
	case 'n': // there is no /etc/mtab to write
	case 'r':
		h.readOnly = true
	case 'w':
	default:
		return &UsageError{Problem: fmt.Sprintf("%s has no flag -%c", HelperName, letter)}
	}
	return nil
}

// ignoredOptions returns options for mount(8) and systemd, and options that are the
// default. rw is one of them: mount(8) adds it by itself, and busybox never passes it.
// upper= and work= make a mount writable.
func ignoredOptions() []string {
	return []string{
		"", "defaults", "rw", "auto", "noauto", "nofail", "_netdev", "user", "nouser", "users", "owner", "group",
		"exec", "async", "atime", "diratime", "relatime", "symfollow", "silent", "loud",
	}
}

// option adds one option of mount(8) to the call.
func (h *MountCall) option(o string) (err error) {
	key, value, _ := strings.Cut(o, "=")
	switch {
	case slices.Contains(ignoredOptions(), o), key == "comment", strings.HasPrefix(strings.ToLower(o), "x-"):
	case o == "ro":
		h.readOnly = true
	case o == "volatile":
		h.local = append(h.local, "--volatile")
	case key == "store":
		value, err = helperDir(o)
		h.global = append(h.global, "--store", value)
	case key == "upper":
		h.upper, err = helperDir(o)
	case key == "work":
		h.work, err = helperDir(o)
	case key == "platform":
		value, err = url.PathUnescape(value)
		h.global = append(h.global, "--platform", value)
	case key == "driver":
		h.local = append(h.local, "--driver", value)
	case key == "option":
		h.local = append(h.local, "--option", value)
	case key == "idmap":
		h.idmap = strings.TrimPrefix(h.idmap+","+value, ",")
	case !h.sloppy || overlaymount.IsOption(o):
		h.local = append(h.local, "--option", o)
	}
	return err
}

// helperDir returns the directory in an option such as store=/a%20b. It is
// percent-encoded, because the programs that pass it on change commas and quotation
// marks.
func helperDir(o string) (string, error) {
	_, value, _ := strings.Cut(o, "=")
	dir, err := url.PathUnescape(value)
	if err != nil || !filepath.IsAbs(dir) {
		return "", &UsageError{Problem: fmt.Sprintf("%q has no absolute path in percent-encoding", o)}
	}
	return dir, nil
}
