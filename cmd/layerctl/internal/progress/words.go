// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/registry"
)

// span returns a time in words: "41 s", "3 min 5 s", "2 h 10 min".
func span(d time.Duration) string {
	seconds := int64(d.Round(time.Second) / time.Second)
	switch {
	case seconds < 60:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%d min %d s", seconds/60, seconds%60)
	default:
		return fmt.Sprintf("%d h %d min", seconds/3600, seconds%3600/60)
	}
}

// retrying says which try comes when, and why.
func retrying(r registry.Retry, wait time.Duration) string {
	return fmt.Sprintf("retrying (%d of %d, in %s): %s", r.Round, r.Rounds, span(wait), cause(r))
}

// cause says in a few words why a host failed.
func cause(r registry.Retry) string {
	var name *net.DNSError
	var wire net.Error
	err := r.Err
	switch {
	case r.Status != 0:
		return strings.TrimSpace(fmt.Sprintf("%d %s", r.Status, http.StatusText(r.Status)))
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "no way to the host"
	case errors.As(err, &name):
		return "its name does not resolve"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &wire) && wire.Timeout():
		return "no answer in time"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "connection closed"
	}
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	// The line names the host and the layer already.
	text := request().ReplaceAllString(err.Error(), "")
	return terminal.Clip(strings.TrimPrefix(text, r.Host+" "), 60)
}

// request matches how the error of a request begins.
var request = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(GET|HEAD) \S+: `) })
