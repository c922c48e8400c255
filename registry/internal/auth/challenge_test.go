// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"reflect"
	"testing"
)

func TestParseChallenges(t *testing.T) {
	type params = map[string]string
	tests := []struct {
		in   string
		want []Challenge
	}{
		{"", nil},
		{"Basic", []Challenge{{"basic", params{}}}},
		{`Bearer realm="https://a/b",service=x , scope="a b,c"`, []Challenge{{"bearer", params{"realm": "https://a/b", "service": "x", "scope": "a b,c"}}}},
		{`Basic realm="a\"b", Bearer Realm = "c"`, []Challenge{{"basic", params{"realm": `a"b`}}, {"bearer", params{"realm": "c"}}}},
		{`Negotiate, Basic realm=x`, []Challenge{{"negotiate", params{}}, {"basic", params{"realm": "x"}}}},
		{`Bearer realm="unclosed`, []Challenge{{"bearer", params{}}}},
		{`Bearer realm="a",realm="b"`, []Challenge{{"bearer", params{"realm": "a"}}}},
		{`=x`, nil}, {`"x"`, nil},
	}
	for _, tt := range tests {
		if got := parseChallenges(tt.in); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.in, got, tt.want)
		}
	}
}

func FuzzParseChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://a/b",service="x",scope="a b" , Basic realm="\"x"`)
	f.Add("Negotiate abc==, Basic")
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range parseChallenges(s) {
			if c.Scheme == "" || c.Params == nil {
				t.Errorf("%q: got %v", s, c)
			}
		}
	})
}
