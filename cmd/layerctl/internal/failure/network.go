// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/layerctl/layerctl/registry"
)

// deniedHint is for requests that a registry, a proxy or this machine's configuration
// refuses.
func deniedHint(err error) string {
	var login *registry.LoginError
	var file *registry.AuthFileError
	var denied *registry.DeniedError
	var proxy *registry.ProxyDeniedError
	var status *registry.StatusError
	switch {
	case errors.As(err, &login):
		return "the user's name or the password is wrong; some registries want a token in place of the password"
	case errors.As(err, &file):
		return "--authfile, or $LAYERCTL_AUTH_FILE, names a file in the form of docker's config.json; 'layerctl login --authfile FILE HOST' writes one"
	case errors.Is(err, registry.ErrBlocked):
		return "registries.conf of this machine says so: see containers-registries.conf(5)"
	case errors.As(err, &proxy), errors.As(err, &status) && status.Status == http.StatusProxyAuthRequired:
		return "the proxy wants credentials: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
	case errors.As(err, &denied) && denied.Withheld != "":
		return fmt.Sprintf("--token-host %s lets the credentials for %s be sent there", denied.Withheld, denied.Host)
	case errors.As(err, &denied) && denied.Sent:
		return fmt.Sprintf("the credentials for %s do not do for this: are they right, and may they read it? 'layerctl login %s' replaces them", denied.Host, denied.Host)
	case errors.As(err, &denied):
		return fmt.Sprintf("is it spelled right? if it is private, 'layerctl login %s' keeps credentials for it", denied.Host)
	}
	return ""
}

// networkHint is for errors of the network. It tells a network that is down from a name,
// a certificate or an answer that is wrong, which does not change by itself.
func networkHint(err error) string {
	var name *net.DNSError
	var status *registry.StatusError
	var answer *registry.AnswerError
	var plain *registry.PlainHTTPError
	var encrypted *registry.HTTPSError
	if hint := certificateHint(err); hint != "" {
		return hint
	}
	switch {
	case errors.As(err, &plain):
		return "if that is meant: --plain-http " + plain.Host
	case errors.As(err, &encrypted):
		return fmt.Sprintf("leave out --plain-http %s; a hosts.toml or registries.conf may say http too", encrypted.Host)
	case errors.As(err, &name) && name.IsNotFound:
		return "is it spelled right? the DNS of this machine does not know it"
	case errors.As(err, &name):
		return "the DNS of this machine does not answer: is the network there?"
	case errors.As(err, &answer) && isPage(answer.MediaType):
		return fmt.Sprintf("a web page came: is there a network that wants a login in a browser first, or no registry at %s?", answer.Host)
	case errors.As(err, &answer):
		return fmt.Sprintf("'layerctl ping %s' tells what it speaks", answer.Host)
	case errors.As(err, &status) && status.Status == http.StatusTooManyRequests:
		return rateHint(status.RetryAfter)
	case errors.As(err, &status) && status.Status >= 500:
		return "that is the registry's own trouble: try again later"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: is the port right, and does the registry run?"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "there is no way to it from here: is the network up, and does the registry need a proxy (HTTPS_PROXY)?"
	}
	return brokenHint(err)
}

// brokenHint is for connections that were too slow, or that broke.
func brokenHint(err error) string {
	var wire net.Error
	switch {
	case errors.As(err, &wire) && wire.Timeout():
		return "no answer came: is the network slow, or a firewall before the registry? --stall-timeout waits longer"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection broke each time; --retry tries more often"
	}
	return ""
}

// isPage reports whether a media type is that of a web page.
func isPage(mediaType string) bool { return strings.HasPrefix(mediaType, "text/html") }

// rateHint says when a registry that limits the rate of requests accepts more.
func rateHint(after time.Duration) string {
	const more = "'layerctl login HOST' may raise the limit, a mirror has none"
	if after <= 0 {
		return "the registry counts requests, and does not say how long: try again later; " + more
	}
	return fmt.Sprintf("the registry counts requests, and takes more in %s; %s", inWords(after), more)
}

// inWords returns a time to wait in words, rounded up: "41 seconds".
func inWords(d time.Duration) string {
	unit, name := time.Second, "seconds"
	switch {
	case d >= 2*time.Hour:
		unit, name = time.Hour, "hours"
	case d >= 2*time.Minute:
		unit, name = time.Minute, "minutes"
	}
	n := (d + unit - 1) / unit
	if n == 1 {
		name = strings.TrimSuffix(name, "s")
	}
	return fmt.Sprintf("%d %s", n, name)
}

// certificateHint is for certificates that cannot be verified.
func certificateHint(err error) string {
	var unknown x509.UnknownAuthorityError
	var other x509.HostnameError
	var invalid x509.CertificateInvalidError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &unknown):
		return "if it is a registry of your own: --cacert FILE trusts its authority, as do HOST/ca.crt below /etc/docker/certs.d and /etc/containers/certs.d"
	case errors.As(err, &other):
		return "another host answered: is the name right, and is there a network that wants a login in a browser first?"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore):
		return "is the clock of this machine right? 'date' shows it"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "if the clock of this machine is right, the registry needs a new certificate"
	case errors.As(err, &certificate):
		return "the registry's certificate is not good: who runs it can tell why"
	}
	return ""
}
