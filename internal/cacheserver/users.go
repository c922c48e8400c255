// SPDX-License-Identifier: Apache-2.0

package cacheserver

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"github.com/layerctl/layerctl/errkind"
)

// Users are the users who may send requests, with their passwords' hashes.
type Users struct {
	hashes map[string][]byte // by name
	key    []byte            // of the HMACs in known

	trying sync.Mutex // one password is compared at a time, because bcrypt is slow by design
	mu     sync.Mutex
	known  map[[sha256.Size]byte]bool // HMACs of users and passwords that were right
}

const (
	maxUsersFile = 1 << 20 // bytes
	maxUsers     = 10_000
	maxCost      = 14   // of bcrypt: each more doubles the time of a comparison
	maxKnown     = 1000 // passwords that need not be compared again
)

// ReadUsers reads what 'htpasswd -B' writes: lines of USER:HASH, with hashes by bcrypt.
// Empty lines, and lines that begin with #, are passed over. Anything else is an
// [errkind.Usage].
func ReadUsers(r io.Reader) (*Users, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxUsersFile+1))
	if err != nil {
		return nil, err
	}
	u := &Users{hashes: map[string][]byte{}, key: []byte(rand.Text()), known: map[[sha256.Size]byte]bool{}}
	if err := u.read(raw); err != nil {
		return nil, errkind.With(errkind.Usage, err)
	}
	return u, nil
}

func (u *Users) read(raw []byte) error {
	if len(raw) > maxUsersFile {
		return fmt.Errorf("the users take more than %d bytes", maxUsersFile)
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, hash, _ := strings.Cut(line, ":")
		cost, err := bcrypt.Cost([]byte(hash))
		switch {
		case name == "" || err != nil:
			return fmt.Errorf("line %d is not USER:HASH by bcrypt, as 'htpasswd -B' writes it", n)
		case cost > maxCost:
			return fmt.Errorf("line %d: a password of cost %d takes too long; %d is the most", n, cost, maxCost)
		case len(u.hashes) == maxUsers:
			return fmt.Errorf("there are more than %d users", maxUsers)
		}
		u.hashes[name] = []byte(hash)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if len(u.hashes) == 0 {
		return errors.New("it names no user")
	}
	return nil
}

// lets reports whether a request has the name and password of a user. A password that was
// right once is recognised at once; others are compared one after the other.
func (u *Users) lets(r *http.Request) bool {
	name, password, ok := r.BasicAuth()
	hash, exists := u.hashes[name]
	if !ok || !exists || len(password) > 72 { // bcrypt reads no more
		return false
	}
	sum := hmac.New(sha256.New, u.key)
	fmt.Fprintf(sum, "%d %s%s", len(name), name, password)
	var id [sha256.Size]byte
	sum.Sum(id[:0])
	if u.knows(id) {
		return true
	}
	u.trying.Lock()
	defer u.trying.Unlock()
	if u.knows(id) {
		return true
	}
	if r.Context().Err() != nil || bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.known) >= maxKnown {
		clear(u.known)
	}
	u.known[id] = true
	return true
}

// knows reports whether a user and a password were right before.
func (u *Users) knows(id [sha256.Size]byte) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.known[id]
}
