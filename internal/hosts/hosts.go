// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"syscall"

	"github.com/layerctl/layerctl/internal/fsat"
)

// Endpoint is one host to ask.
type Endpoint struct {
	// URL is the base under which the repositories are, as in
	// "https://mirror:5000/v2", without a slash at the end.
	URL string
	// Repository is the repository's name there.
	Repository string
	// Pull and Resolve say what it may be asked: content by digest, and what
	// a tag stands for.
	Pull, Resolve bool
	// SkipVerify accepts any certificate.
	SkipVerify bool
	// CA are files of certificates to trust beside the system's.
	CA []string
	// Client are the certificates to show.
	Client []KeyPair
	// Header is sent with each request. It may hold secrets.
	Header http.Header
	// Username and Password, or IdentityToken, are credentials that the
	// configuration itself holds.
	Username, Password, IdentityToken string
}

// KeyPair names two PEM files, which may be the same.
type KeyPair struct{ Cert, Key string }

// Plan is whom to ask for a repository: the mirrors in their order, then the
// origin.
type Plan struct {
	Mirrors []Endpoint
	Origin  Endpoint
}

// ErrBlocked says that the configuration forbids the registry.
var ErrBlocked = errors.New("blocked by configuration")

// Files is where configuration is looked for: of Dir, K3s and RegistriesConf
// the first that says anything about a host decides. What RegistriesConf
// forbids is forbidden whoever decides. The zero value looks where containerd,
// k3s (or RKE2), containers and docker do. A path that leads nowhere means no
// such configuration.
type Files struct {
	// Dir is a directory like /etc/containerd/certs.d.
	Dir string
	// K3s is a file like /etc/rancher/k3s/registries.yaml.
	K3s string
	// RegistriesConf is a file like /etc/containers/registries.conf; the files
	// of the directory with ".d" after its name belong to it.
	RegistriesConf string
	// CertDirs are directories like /etc/docker/certs.d, for the hosts of which
	// neither Dir nor K3s says anything. The first that has a directory for the
	// host is taken.
	CertDirs []string
}

// maxFile bounds one file of configuration.
const maxFile = 1 << 20

// Lookup says whom to ask for a repository of a registry, both named as
// references do. byDigest says that the reference has a digest, for some
// mirrors are for that only, or for tags only. Without any configuration it is
// the registry alone. [ErrBlocked] says that nobody may be asked.
func (f Files) Lookup(host, repository string, byDigest bool) (Plan, error) {
	origin := Endpoint{URL: defaultURL(host), Repository: repository, Pull: true, Resolve: true}
	tables, err := f.loadRegistriesConf()
	if err != nil {
		return Plan{}, err
	}
	plan, err := f.certsD(origin, host)
	if plan == nil && err == nil {
		plan, err = f.k3s(origin, host)
	}
	if plan == nil && err == nil {
		if plan, err = tables.plan(origin, host, byDigest); plan == nil {
			plan = &Plan{Origin: origin}
		}
		if err == nil {
			err = f.addCertificates(plan)
		}
	}
	if err != nil {
		return Plan{}, err
	}
	return tables.allowed(*plan, host+"/"+repository)
}

func defaultURL(host string) string {
	if host == "docker.io" {
		host = "registry-1.docker.io"
	}
	return "https://" + host + "/v2"
}

// base makes a configured address a URL. exact takes the path as it is.
func base(address string, exact bool) (string, error) {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", errors.New("it is no URL") // what net/url says may hold a secret
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("host %q: want http(s)://HOST[:PORT][/PATH]", u.Redacted())
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if !exact && !strings.HasSuffix(u.Path, "/v2") {
		u.Path = path.Join("/", u.Path, "v2")
	}
	u.RawPath = ""
	return u.String(), nil
}

// read reads a file of configuration; one that is not there is nil.
func read(name string) ([]byte, error) {
	b, err := ReadFile(name)
	if missing(err) {
		return nil, nil
	}
	return b, err
}

// ReadFile reads a file that configuration is, or names: a regular one of 1 MiB
// at most. It waits for no FIFO and reads no device but the null device.
func ReadFile(name string) ([]byte, error) { return fsat.ReadNamed(name, maxFile) }

// missing says that there is no such file.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
