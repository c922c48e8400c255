// SPDX-License-Identifier: Apache-2.0

package args

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/layerctl/layerctl/archive"
)

// Owner parses UID:GID, the value of a flag. For "" it returns nil.
func Owner(flag, s string) (*archive.Owner, error) {
	if s == "" {
		return nil, nil
	}
	uid, gid, _ := strings.Cut(s, ":")
	u, uerr := strconv.ParseUint(uid, 10, 32)
	g, gerr := strconv.ParseUint(gid, 10, 32)
	if uerr != nil || gerr != nil {
		return nil, &UsageError{Problem: fmt.Sprintf("%s %q is no UID:GID", flag, s), Advice: "both are numbers, such as 0:0"}
	}
	return &archive.Owner{UID: uint32(u), GID: uint32(g)}, nil
}

// SourceDate returns the time of $SOURCE_DATE_EPOCH, seconds since 1970, or the zero
// time if that is not set (https://reproducible-builds.org/specs/source-date-epoch/).
func SourceDate() (time.Time, error) {
	s := os.Getenv("SOURCE_DATE_EPOCH")
	if s == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seconds < 0 || seconds > maxSourceDate {
		return time.Time{}, &UsageError{Problem: fmt.Sprintf("$SOURCE_DATE_EPOCH is %q, and no number of seconds", s)}
	}
	return time.Unix(seconds, 0), nil
}

// maxSourceDate is the latest time that every form of tar has: eleven octal digits.
const maxSourceDate = 1<<33 - 1
