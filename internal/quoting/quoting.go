// SPDX-License-Identifier: Apache-2.0

// Package quoting writes paths and options as other programs read them: shells,
// the tables of mount(8), units of systemd, and strings of mount options.
package quoting

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Shell makes s one word for a POSIX shell.
func Shell(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-/:@,=+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Option escapes a path for a string of options: the kernel takes a backslash before
// a comma or a backslash (ovl_next_opt in fs/overlayfs), and libfuse does (fuse_opt.c).
func Option(dir string) string {
	return strings.NewReplacer(`\`, `\\`, ",", `\,`).Replace(dir)
}

// Lower is Option for one of several lower dirs in one option.
func Lower(dir string) string {
	return strings.ReplaceAll(Option(dir), ":", `\:`)
}

// Percent encodes a path by RFC 3986, so that no program on the way sees anything in it
// to split, to unquote or to unescape.
func Percent(path string) string {
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("/._-~+@", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// FSTabField escapes a field as getmntent(3) undoes it.
func FSTabField(s string) string {
	return strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace(s)
}

// UnitText quotes s for a unit, where a percent sign begins a specifier
// (systemd.unit(5)).
func UnitText(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// UnitWords quotes the words of a list (systemd.syntax(7)).
func UnitWords(list []string) string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%")
	var words []string
	for _, s := range list {
		words = append(words, `"`+quote.Replace(s)+`"`)
	}
	return strings.Join(words, " ")
}

// UnitName returns what systemd-escape --path --suffix=mount prints (systemd.unit(5)).
func UnitName(path string) string {
	path = strings.Trim(filepath.Clean(path), "/")
	if path == "" {
		return "-.mount"
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '/':
			b.WriteByte('-')
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == ':', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String() + ".mount"
}
