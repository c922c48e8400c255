// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/layerctl/layerctl/registry/internal/failure"
	"golang.org/x/net/http/httpproxy"
)

// proxyChoice returns the proxy for a request; nil means none.
type proxyChoice func(*http.Request) (*url.URL, error)

// noProxy stands for a proxy that the environment names by an invalid URL. Without it
// httpproxy would use no proxy, and ask hosts directly that must not be.
const noProxy = "proxy.invalid"

// proxyFromEnvironment chooses by HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in upper or
// lower case, as they are when it is called.
func proxyFromEnvironment() proxyChoice {
	env := httpproxy.FromEnvironment()
	for _, p := range []*string{&env.HTTPProxy, &env.HTTPSProxy} {
		if *p != "" && !isProxy(*p) {
			*p = "http://" + noProxy
		}
	}
	choose := env.ProxyFunc()
	return func(req *http.Request) (*url.URL, error) {
		proxy, err := choose(req.URL)
		if err != nil || proxy != nil && proxy.Host == noProxy {
			// The invalid text is not repeated: it may have a password.
			return nil, Refuse("the proxy that the environment names for %s is no http, https or socks5 URL", req.URL.Scheme)
		}
		return proxy, nil
	}
}

// isProxy reports whether the text is the URL of a proxy. HOST:PORT means http, as in
// other programs.
func isProxy(text string) bool {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return false
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return true
	}
	return false
}

// proxyAnswer is the OnProxyConnectResponse of [http.Transport]: it makes errors of a
// proxy's refusals.
func proxyAnswer(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusProxyAuthRequired:
		return failure.Final(&ProxyDeniedError{Proxy: proxy.Host})
	}
	return fmt.Errorf("proxy %s: %d %s", proxy.Host, resp.StatusCode, http.StatusText(resp.StatusCode))
}

// ProxyDeniedError says that a proxy wants other credentials than it got, or any. It
// matches [failure.Denied].
type ProxyDeniedError struct{ Proxy string } // HOST:PORT

// Error is one line.
func (e *ProxyDeniedError) Error() string {
	return "proxy " + e.Proxy + " wants other credentials (407)"
}

// Unwrap makes it match [failure.Denied].
func (e *ProxyDeniedError) Unwrap() error { return failure.Denied }
