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

// Users are those who may ask: what 'htpasswd -B' writes.
type Users struct {
	hashes map[string][]byte
	key    []byte

	trying sync.Mutex // one password is tried at a time: that takes long by design
	mu     sync.Mutex
	known  map[[sha256.Size]byte]bool
}

// The bounds of a file of users, and of what one password may cost.
const (
	maxUsersFile = 1 << 20
	maxUsers     = 10_000
	maxCost      = 14
	maxKnown     = 1000
)

// ReadUsers reads lines of USER:HASH, where the hash is one of bcrypt; # begins
// a comment. All else is an [errkind.Usage].
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

// lets says whether a request comes from one of them. A password that was right
// once is known again at once; wrong ones wait for each other.
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

// knows says whether a user and a password were right before.
func (u *Users) knows(id [sha256.Size]byte) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.known[id]
}
