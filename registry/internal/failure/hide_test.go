// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"errors"
	"strings"
	"testing"
)

func TestHide(t *testing.T) {
	for _, c := range []struct{ name, secret, said, want string }{
		{"as it is", "hunter2", "wrong password hunter2 (hunter2)", "wrong password [secret] ([secret])"},
		{"escaped for a terminal", "pä\"ss\nword", OneLine("no pä\"ss\nword"), "no [secret]"},
		{"escaped for a URL", "a b/c+d", "GET http://x/?p=a+b%2Fc%2Bd", "GET http://x/?p=[secret]"},
		{"in a path", "a b/c+d", "GET http://x/a%20b%2Fc+d", "GET http://x/[secret]"},
		{"cut short", strings.Repeat("s3cret", 10), OneLine(strings.Repeat("x", maxText-20) + strings.Repeat("s3cret", 10)),
			strings.Repeat("x", maxText-20) + "[secret]…"},
		{"longer than a line", strings.Repeat("s3cret", 100), OneLine("got " + strings.Repeat("s3cret", 100)), "got [secret]…"},
		{"too short to be one", "abc", "abcd", "abcd"},
		{"none", "", "text", "text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Hide(New(Denied, "%s", c.said), c.secret)
			if err.Error() != c.want || !errors.Is(err, Denied) {
				t.Errorf("got %q, want %q", err, c.want)
			}
		})
	}
	if Hide(nil, "secret") != nil {
		t.Error("nil became an error")
	}
}
