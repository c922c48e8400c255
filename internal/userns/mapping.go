// SPDX-License-Identifier: Apache-2.0

package userns

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// ErrUnavailable means that this machine does not give the caller the user
// namespace that was asked for; the error says what is missing.
var ErrUnavailable = errors.New("no user namespace")

// Range maps Size ids that begin with Inside, in the namespace, to those that
// begin with Outside.
type Range struct{ Inside, Outside, Size uint32 }

// Mapping is what the ids of a user namespace are outside of it.
type Mapping struct{ UIDs, GIDs []Range }

// Caller maps root in the namespace to the calling user and group, and nothing
// else. It needs no privilege and no program.
func Caller() Mapping {
	return Mapping{
		UIDs: []Range{{0, uint32(os.Geteuid()), 1}},
		GIDs: []Range{{0, uint32(os.Getegid()), 1}},
	}
}

// Subordinate maps root to the caller and the ids from 1 to the subordinate
// ids that /etc/subuid and /etc/subgid give the caller (subuid(5)). The error
// is ErrUnavailable where they give none.
func Subordinate() (Mapping, error) {
	id := strconv.Itoa(os.Geteuid())
	names := []string{id}
	// Who is known elsewhere than in /etc/passwd may still have ranges by id.
	if u, err := user.LookupId(id); err == nil {
		names = append(names, u.Username)
	}
	m := Caller()
	for _, side := range []struct {
		file string
		ids  *[]Range
	}{{"/etc/subuid", &m.UIDs}, {"/etc/subgid", &m.GIDs}} {
		ranges, err := subordinates(side.file, names)
		if err != nil {
			return Mapping{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		*side.ids = appendRanges(*side.ids, ranges)
	}
	return m, nil
}

// Size is how many ids the namespace has, of users and of groups alike: from 0
// to Size-1.
func (m Mapping) Size() uint64 { return min(total(m.UIDs), total(m.GIDs)) }

func total(ranges []Range) (sum uint64) {
	for _, r := range ranges {
		sum += uint64(r.Size)
	}
	return sum
}

// appendRanges gives each of the ranges the ids that follow in the namespace.
func appendRanges(to []Range, ranges []subordinate) []Range {
	// 2^32-1 means "no id" (chown(2)), and the kernel takes 340 lines since
	// Linux 4.15.
	const ids, lines = 1<<32 - 1, 340
	for _, s := range ranges {
		next := total(to)
		size := min(uint64(s.count), ids-next)
		if size == 0 || len(to) == lines {
			break
		}
		to = append(to, Range{uint32(next), s.start, uint32(size)})
	}
	return to
}
