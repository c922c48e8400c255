// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"net/http"
	"net/url"
	"testing"
)

func TestProxyChoice(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		t.Setenv(name, "")
	}
	t.Setenv("http_proxy", "one:3128")
	t.Setenv("https_proxy", "socks5://two")
	t.Setenv("no_proxy", "direct.example,.inner.example,10.0.0.0/8,other.example:5000")
	choose := proxyFromEnvironment()
	for asked, want := range map[string]string{
		"http://reg.example/": "http://one:3128", "https://reg.example/": "socks5://two",
		"https://direct.example/": "", "https://a.inner.example/": "", "http://10.1.2.3:5000/": "",
		"https://other.example:5000/": "", "https://other.example/": "socks5://two",
		"http://127.0.0.1:5000/": "", "https://localhost/": "",
	} {
		u, err := url.Parse(asked)
		if err != nil {
			t.Fatal(err)
		}
		got, err := choose(&http.Request{URL: u})
		if err != nil || got == nil && want != "" || got != nil && got.String() != want {
			t.Errorf("%s: got %v, %v, want %q", asked, got, err, want)
		}
	}
}
