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

// proxyChoice is the proxy for a request, nil for none.
type proxyChoice func(*http.Request) (*url.URL, error)

// noProxy stands for one that the environment names by no URL. The library
// would go on without any, to hosts that were not to be asked directly.
const noProxy = "proxy.invalid"

// proxyFromEnvironment follows HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in lower
// case too, as they are now.
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
			// What it says instead may be a password.
			return nil, Refuse("the proxy that the environment names for %s is no http, https or socks5 URL", req.URL.Scheme)
		}
		return proxy, nil
	}
}

// isProxy takes HOST:PORT for http, as everybody does.
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

// proxyAnswer is for [http.Transport].
func proxyAnswer(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusProxyAuthRequired:
		return failure.Final(&ProxyDeniedError{Proxy: proxy.Host})
	}
	return fmt.Errorf("proxy %s: %d %s", proxy.Host, resp.StatusCode, http.StatusText(resp.StatusCode))
}

// ProxyDeniedError says that a proxy wants other credentials, or some. It
// matches [failure.Denied].
type ProxyDeniedError struct{ Proxy string } // HOST:PORT

// Error is one line.
func (e *ProxyDeniedError) Error() string {
	return "proxy " + e.Proxy + " wants other credentials (407)"
}

// Unwrap makes it a refusal.
func (e *ProxyDeniedError) Unwrap() error { return failure.Denied }
