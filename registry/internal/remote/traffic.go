// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"slices"
	"sync"
)

// Traffic is how many bytes of blobs one host has sent.
type Traffic struct {
	Host  string // as the reference or a mirror's configuration names it
	Bytes int64
}

// ledger adds up the traffic of one source.
type ledger struct {
	mu  sync.Mutex
	all []Traffic
}

func newLedger() *ledger { return &ledger{} }

func (l *ledger) add(host string, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.all, func(t Traffic) bool { return t.Host == host })
	if i < 0 {
		i = len(l.all)
		l.all = append(l.all, Traffic{Host: host})
	}
	l.all[i].Bytes += n
}

func (l *ledger) entries() []Traffic {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// Traffic returns what each host has sent so far, in the order of their first bytes.
func (r *Repository) Traffic() []Traffic { return r.sent.entries() }
