// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"net/http"
	"slices"
	"strings"
)

// Challenge is one way of authorisation that a server offers, see
// https://www.rfc-editor.org/rfc/rfc9110#name-www-authenticate
type Challenge struct {
	Scheme string            // lower case
	Params map[string]string // names in lower case
}

const (
	// maxChallenge bounds the bytes of a header: a scope may list many repositories.
	maxChallenge = 16 << 10
	// maxChallenges bounds the challenges of one answer.
	maxChallenges = 16
)

// Challenges reads all WWW-Authenticate headers. The rest of a header behind something
// malformed, and a header of more than 16 KiB, are left out.
func Challenges(h http.Header) []Challenge {
	var all []Challenge
	for _, v := range h.Values("WWW-Authenticate") {
		if len(v) <= maxChallenge && len(all) < maxChallenges {
			all = append(all, parseChallenges(v)...)
		}
	}
	return all[:min(len(all), maxChallenges)]
}

// TakesTokens reports whether one of the challenges asks for a token, which may be an
// anonymous one.
func TakesTokens(h http.Header) bool {
	return slices.ContainsFunc(Challenges(h), func(c Challenge) bool { return c.Scheme == "bearer" })
}

// parseChallenges reads one header.
func parseChallenges(s string) []Challenge {
	var all []Challenge
	for {
		s = strings.TrimLeft(s, " \t,")
		word, rest := token(s)
		if word == "" {
			return all
		}
		// "word =" is a parameter of the challenge before it, "word word" begins another.
		if trimmed := strings.TrimLeft(rest, " \t"); strings.HasPrefix(trimmed, "=") && len(all) > 0 {
			value, after, ok := paramValue(strings.TrimLeft(trimmed[1:], " \t"))
			if !ok {
				return all
			}
			name := strings.ToLower(word)
			if params := all[len(all)-1].Params; params[name] == "" {
				params[name] = value
			}
			s = after
			continue
		}
		all = append(all, Challenge{Scheme: strings.ToLower(word), Params: map[string]string{}})
		s = rest
		if s != "" && s[0] != ' ' && s[0] != '\t' && s[0] != ',' {
			return all
		}
	}
}

// paramValue reads a token or a quoted string, and returns the rest behind it.
func paramValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		value, rest = token(s)
		return value, rest, value != ""
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], true
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// token cuts a token (RFC 9110, 5.6.2) from the front of s.
func token(s string) (tok, rest string) {
	i := 0
	for i < len(s) && isTokenByte(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

func isTokenByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
