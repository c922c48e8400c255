// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/registry/internal/failure"
)

func TestHide(t *testing.T) {
	for _, c := range []struct{ name, secret, said, want string }{
		{"as it is", "hunter2", "wrong password hunter2 (hunter2)", "wrong password [hidden] ([hidden])"},
		{"escaped for a terminal", "pä\"ss\nword", failure.OneLine("no pä\"ss\nword"), "no [hidden]"},
		{"escaped for a URL", "a b/c+d", "GET http://x/?p=a+b%2Fc%2Bd", "GET http://x/?p=[hidden]"},
		{"in a path", "a b/c+d", "GET http://x/a%20b%2Fc+d", "GET http://x/[hidden]"},
		{"cut short", strings.Repeat("s3cret", 10), failure.OneLine(strings.Repeat("x", 300-20) + strings.Repeat("s3cret", 10)),
			strings.Repeat("x", 300-20) + "[hidden]…"},
		{"longer than a line", strings.Repeat("s3cret", 100), failure.OneLine("got " + strings.Repeat("s3cret", 100)), "got [hidden]…"},
		{"the word that stands in its place", "hidden", "no hidden word", "no [hidden] word"},
		{"too short to be one", "abc", "abcd", "abcd"},
		{"none", "", "text", "text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := failure.Hide(failure.New(failure.Denied, "%s", c.said), c.secret)
			if err.Error() != c.want || !errors.Is(err, failure.Denied) {
				t.Errorf("got %q, want %q", err, c.want)
			}
		})
	}
	if failure.Hide(nil, "secret") != nil {
		t.Error("nil became an error")
	}
}
