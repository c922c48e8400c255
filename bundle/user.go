// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// maxAccounts bounds how many bytes of the image's /etc/passwd and /etc/group are read.
const maxAccounts = 4 << 20

// findUser looks up the user in an image's config, in one of the forms of image-spec's
// config.md: user, uid, user:group, uid:gid, uid:group and user:gid; "" means root.
func findUser(root fs.FS, who string) (specs.User, error) {
	name, group, hasGroup := strings.Cut(who, ":")
	if name == "" {
		name = "0"
	}
	var u specs.User
	account, err := lookup(root, "etc/passwd", name, 7)
	uid, numeric := number(name)
	switch {
	case err != nil:
		return u, err
	case numeric:
		u.UID = uid
	case account == nil:
		return u, fmt.Errorf("the user %q is not in the image's /etc/passwd", name)
	default:
		if u.UID, numeric = number(account[2]); !numeric {
			return u, fmt.Errorf("the user %q has the uid %q in the image's /etc/passwd", name, account[2])
		}
		numeric = false
	}
	if hasGroup && group != "" {
		u.GID, err = findGroup(root, group)
		return u, err
	}
	if account != nil {
		var ok bool
		if u.GID, ok = number(account[3]); !ok {
			return u, fmt.Errorf("the user %q has the gid %q in the image's /etc/passwd", name, account[3])
		}
	}
	if !numeric {
		u.AdditionalGids, err = groupsOf(root, name)
	}
	return u, err
}

// number reads an id: runtimes accept 31 bits.
func number(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return uint32(n), err == nil
}

// findGroup returns the id of a group, which is a number or in the image's /etc/group.
func findGroup(root fs.FS, group string) (uint32, error) {
	if gid, ok := number(group); ok {
		return gid, nil
	}
	line, err := lookup(root, "etc/group", group, 4)
	if err != nil {
		return 0, err
	}
	if line != nil {
		if gid, ok := number(line[2]); ok {
			return gid, nil
		}
	}
	return 0, fmt.Errorf("the group %q is not in the image's /etc/group", group)
}

// groupsOf returns the ids of the groups that list the user.
func groupsOf(root fs.FS, user string) ([]uint32, error) {
	var gids []uint32
	err := eachLine(root, "etc/group", 4, func(f []string) bool {
		if gid, ok := number(f[2]); ok && slices.Contains(strings.Split(f[3], ","), user) && !slices.Contains(gids, gid) {
			gids = append(gids, gid)
		}
		return true
	})
	return gids, err
}

// lookup returns the fields of the first line with this name or id; nil if there is none.
func lookup(root fs.FS, file, name string, fields int) (found []string, err error) {
	err = eachLine(root, file, fields, func(f []string) bool {
		if f[0] == name || f[2] == name {
			found = f
		}
		return found == nil
	})
	return found, err
}

// eachLine calls do with the fields of each line of a file until it returns false. A
// missing file has no lines.
func eachLine(root fs.FS, file string, fields int, do func([]string) bool) error {
	// Opening a FIFO could block, and opening a device could have effects.
	fi, err := fs.Stat(root, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("it is no regular file: %v", fi.Mode().Type())
	}
	if err != nil {
		return fmt.Errorf("read the image's /%s: %w", file, err)
	}
	f, err := root.Open(file)
	if err != nil {
		return fmt.Errorf("read the image's /%s: %w", file, err)
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxAccounts))
	lines.Buffer(nil, maxAccounts)
	for lines.Scan() {
		parts := strings.Split(lines.Text(), ":")
		if len(parts) >= fields && !do(parts) {
			return nil
		}
	}
	return lines.Err()
}
