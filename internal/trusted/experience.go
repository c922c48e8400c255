// SPDX-License-Identifier: Apache-2.0

package trusted

import (
	"sync"
	"time"

	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/referrers"
	"github.com/layerctl/layerctl/registry"
)

// location is one place for signatures of the index that the reference names, or of the
// manifest that was chosen from it.
type location struct {
	child bool // of the manifest
	place referrers.Place
}

// experience is what is known of a repository before it is asked. It decides in which
// order places are searched, and never whether a signature counts.
type experience struct {
	// unlisted says that its registry had no list of referrers.
	unlisted bool
	// last is where the last good signature was found; zero if none is known.
	last location
}

// with returns what is known after a good signature was found.
func (e experience) with(at location) experience {
	return experience{e.unlisted && at.place != referrers.ByAPI, at}
}

// order returns all locations in the order of the search, so that three requests mostly
// find a signature. A bundle takes three, by the list of referrers or by the fallback tag.
// A simple signing at cosign's tag takes two, so one request may come before it. So the
// list comes first, or the fallback tag once the registry is known to have no list. names
// says that the policy restricts the name in signatures.
func (e experience) order(names bool) []location {
	groups := [][]referrers.Place{{referrers.ByAPI, referrers.ByTag, referrers.ByFallback}}
	switch {
	case names: // bundles have none
		groups = [][]referrers.Place{{referrers.ByTag}, {referrers.ByAPI, referrers.ByFallback}}
	case e.unlisted:
		groups = [][]referrers.Place{{referrers.ByFallback, referrers.ByTag}, {referrers.ByAPI}}
	}
	var order []location
	if e.last.place != "" {
		order = append(order, e.last)
	}
	for _, group := range groups {
		for _, child := range []bool{false, true} {
			for _, place := range group {
				if at := (location{child, place}); at != e.last {
					order = append(order, at)
				}
			}
		}
	}
	return order
}

// Memory keeps the experience of a process. The zero value is ready. It may be used
// concurrently.
type Memory struct {
	mu       sync.Mutex
	unlisted map[string]bool     // by host
	last     map[string]location // by host and repository
}

// of returns what is known of a repository, also by the records of the store unless that
// is nil.
func (m *Memory) of(ref registry.Reference, store *overlaystore.Store) experience {
	host, repository := ref.Host(), ref.Repository()
	m.mu.Lock()
	e := experience{m.unlisted[host], m.last[host+"/"+repository]}
	m.mu.Unlock()
	if e.last.place != "" || store == nil {
		return e
	}
	records, _ := List(store.Dir()) // records that cannot be read are passed over
	var told, last time.Time        // the times of the newest records that were used
	for i := range records {
		rec := &records[i]
		of, err := registry.Parse(rec.Reference)
		if err != nil || of.Host() != host || len(rec.Signatures) == 0 {
			continue
		}
		a := &rec.Signatures[0]
		at := location{a.Subject != rec.Root, referrers.Place(a.Place)}
		if (rec.Unlisted || at.place == referrers.ByAPI) && !rec.Time.Before(told) {
			e.unlisted, told = at.place != referrers.ByAPI, rec.Time
		}
		if of.Repository() == repository && !rec.Time.Before(last) {
			e.last, last = at, rec.Time
		}
	}
	return e
}

// keep remembers what is known of a repository.
func (m *Memory) keep(ref registry.Reference, e experience) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last == nil {
		m.unlisted, m.last = map[string]bool{}, map[string]location{}
	}
	m.unlisted[ref.Host()] = e.unlisted
	if e.last.place != "" {
		m.last[ref.Host()+"/"+ref.Repository()] = e.last
	}
}
