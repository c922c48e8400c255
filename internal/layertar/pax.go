// SPDX-License-Identifier: Apache-2.0

package layertar

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

const (
	schilyXattr     = "SCHILY.xattr."
	libarchiveXattr = "LIBARCHIVE.xattr."
	gnuSparse       = "GNU.sparse."
)

// extended is what the headers before an entry say about it.
type extended struct {
	records  map[string]string
	xattrs   []Xattr
	long     string // GNU long name
	longLink string // GNU long link name
	foreign  bool
	sparse   sparseRecords
	repeated bool
	seen     bool // a PAX header was read
}

// read takes the records of one PAX header. Those of an earlier one for the
// same entry are forgotten, as Go's archive/tar does, and with it every
// engine that builds upon it.
func (x *extended) read(s string) error {
	*x = extended{long: x.long, longLink: x.longLink, repeated: x.seen || x.repeated, seen: true}
	for len(s) > 0 {
		key, value, rest, err := paxRecord(s)
		if err != nil {
			return err
		}
		s = rest
		x.add(key, value)
	}
	return nil
}

func (x *extended) add(key, value string) {
	switch {
	case strings.HasPrefix(key, gnuSparse):
		x.sparse.add(key[len(gnuSparse):], value)
	case strings.HasPrefix(key, libarchiveXattr):
		x.foreign = true
	case strings.HasPrefix(key, schilyXattr):
		x.addXattr(key[len(schilyXattr):], value)
	default:
		if x.records == nil {
			x.records = make(map[string]string)
		}
		if _, twice := x.records[key]; twice {
			x.repeated = true
		}
		x.records[key] = value
	}
}

func (x *extended) addXattr(name, value string) {
	if x.records == nil {
		x.records = make(map[string]string)
	}
	// The index by name stands among the records, so that a header with
	// thousands of attributes costs no more than its length.
	key := schilyXattr + name
	if at, twice := x.records[key]; twice {
		x.repeated = true
		i, _ := strconv.Atoi(at)
		x.xattrs[i].Value = value
		return
	}
	x.records[key] = strconv.Itoa(len(x.xattrs))
	x.xattrs = append(x.xattrs, Xattr{name, value})
}

var errRecord = errors.New("malformed PAX record")

// paxRecord takes one "length key=value\n" off s (POSIX.1-2001, pax,
// "pax Extended Header").
func paxRecord(s string) (key, value, rest string, err error) {
	digits, _, ok := strings.Cut(s, " ")
	n, perr := strconv.ParseUint(digits, 10, 31)
	if !ok || perr != nil || int(n) <= len(digits)+1 || int(n) > len(s) || s[n-1] != '\n' {
		return "", "", "", errRecord
	}
	key, value, ok = strings.Cut(s[len(digits)+1:n-1], "=")
	if !ok || key == "" || strings.IndexByte(key, 0) >= 0 {
		return "", "", "", errRecord
	}
	switch key {
	case "path", "linkpath", "uname", "gname":
		if strings.IndexByte(value, 0) >= 0 {
			return "", "", "", errRecord
		}
	}
	return key, value, s[n:], nil
}

// apply puts what was read over the fields of the plain header.
func (x *extended) apply(h *Header) error {
	for key, value := range x.records {
		if value == "" {
			continue // POSIX: the record is as if it were not there
		}
		var err error
		switch key {
		case "path":
			h.Name = value
		case "linkpath":
			h.Linkname = value
		case "uid":
			h.UID, err = strconv.ParseInt(value, 10, 64)
		case "gid":
			h.GID, err = strconv.ParseInt(value, 10, 64)
		case "size":
			h.Size, err = strconv.ParseInt(value, 10, 64)
		case "mtime":
			err = h.paxTime(value)
		}
		if err != nil {
			return errors.New("malformed PAX record for " + key)
		}
	}
	if x.long != "" {
		h.Name = x.long
	}
	if x.longLink != "" {
		h.Linkname = x.longLink
	}
	h.Xattrs, h.Foreign, h.Repeated = x.xattrs, x.foreign, x.repeated
	return nil
}

// paxTime reads seconds with a fraction. What no int64 holds is clamped: it
// is a wrong clock of the builder's, and no reason to lose the image.
func (h *Header) paxTime(s string) error {
	whole, fraction, _ := strings.Cut(s, ".")
	h.TimeClamped, h.OddTime = false, false
	if fraction != "" && (whole == "" || whole == "-" || whole == "+") {
		whole, h.OddTime = whole+"0", true
	}
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return h.floatTime(s)
	}
	nsec, err := nanoseconds(fraction)
	if err != nil {
		return h.floatTime(s)
	}
	if nsec != 0 && strings.HasPrefix(whole, "-") {
		if sec == math.MinInt64 {
			return h.floatTime(s)
		}
		sec, nsec = sec-1, 1e9-nsec
	}
	h.Seconds, h.Nanoseconds = sec, nsec
	return nil
}

// floatTime reads a time with an exponent, as Python's tarfile writes one, or one
// that no int64 holds.
func (h *Header) floatTime(s string) error {
	f, err := strconv.ParseFloat(s, 64)
	if (err != nil && !errors.Is(err, strconv.ErrRange)) || math.IsNaN(f) || strings.ContainsAny(s, "xXpP_iI") {
		return errRecord
	}
	if sec := math.Floor(f); math.Abs(sec) < 1<<62 {
		h.Seconds, h.Nanoseconds, h.OddTime = int64(sec), int64((f-sec)*1e9), true
		return nil
	}
	h.Seconds, h.Nanoseconds, h.TimeClamped = math.MaxInt64, 0, true
	if f < 0 {
		h.Seconds = math.MinInt64
	}
	return nil
}

func nanoseconds(digits string) (int64, error) {
	n, scale := int64(0), int64(1e8)
	for i := range len(digits) {
		c := digits[i]
		if c < '0' || c > '9' {
			return 0, errRecord
		}
		n += int64(c-'0') * scale
		scale /= 10
	}
	return n, nil
}
