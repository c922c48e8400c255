// SPDX-License-Identifier: Apache-2.0

package trusted

import (
	"sync"
	"time"

	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/referrers"
	"github.com/layerctl/layerctl/registry"
)

// look is one place for signatures of the index that was asked for, or of the
// child that was chosen from it.
type look struct {
	child bool
	place referrers.Place
}

// experience is what is known of a repository before it is asked. It changes
// the order in which is asked, and never what counts.
type experience struct {
	// unlisted says that its registry had no list of referrers.
	unlisted bool
	// last is where the last signature lay that was good; no place where none is
	// known.
	last look
}

// with is what is known once a good signature has been found.
func (e experience) with(at look) experience {
	return experience{e.unlisted && at.place != referrers.ByAPI, at}
}

// order is in which all places are looked at. Three requests bring a bundle from
// a list or from the fallback tag, two a simple signing from cosign's tag: the
// tag can wait for one answer, and the list and the fallback tag for none, so
// the list comes first until its registry is known to have none.
func (e experience) order(names bool) []look {
	groups := [][]referrers.Place{{referrers.ByAPI, referrers.ByTag, referrers.ByFallback}}
	switch {
	case names: // what a bundle does not meet
		groups = [][]referrers.Place{{referrers.ByTag}, {referrers.ByAPI, referrers.ByFallback}}
	case e.unlisted:
		groups = [][]referrers.Place{{referrers.ByFallback, referrers.ByTag}, {referrers.ByAPI}}
	}
	var order []look
	if e.last.place != "" {
		order = append(order, e.last)
	}
	for _, group := range groups {
		for _, child := range []bool{false, true} {
			for _, place := range group {
				if at := (look{child, place}); at != e.last {
					order = append(order, at)
				}
			}
		}
	}
	return order
}

// Memory is the experience of a process. The zero value is ready, and it may be
// used concurrently.
type Memory struct {
	mu       sync.Mutex
	unlisted map[string]bool // by hosts
	last     map[string]look // by hosts and repositories
}

// of is what is known of a repository, also by the records of a store, nil for
// none.
func (m *Memory) of(ref registry.Reference, store *overlaystore.Store) experience {
	host, repository := ref.Host(), ref.Repository()
	m.mu.Lock()
	e := experience{m.unlisted[host], m.last[host+"/"+repository]}
	m.mu.Unlock()
	if e.last.place != "" || store == nil {
		return e
	}
	records, _ := List(store.Dir()) // those that cannot be read tell nothing
	var told, last time.Time        // of the newest that counted
	for i := range records {
		rec := &records[i]
		of, err := registry.Parse(rec.Reference)
		if err != nil || of.Host() != host || len(rec.Signatures) == 0 {
			continue
		}
		a := &rec.Signatures[0]
		at := look{a.Subject != rec.Root, referrers.Place(a.Place)}
		if (rec.Unlisted || at.place == referrers.ByAPI) && !rec.Time.Before(told) {
			e.unlisted, told = at.place != referrers.ByAPI, rec.Time
		}
		if of.Repository() == repository && !rec.Time.Before(last) {
			e.last, last = at, rec.Time
		}
	}
	return e
}

// keep remembers what is known by now.
func (m *Memory) keep(ref registry.Reference, e experience) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last == nil {
		m.unlisted, m.last = map[string]bool{}, map[string]look{}
	}
	m.unlisted[ref.Host()] = e.unlisted
	if e.last.place != "" {
		m.last[ref.Host()+"/"+ref.Repository()] = e.last
	}
}
