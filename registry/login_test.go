// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLoginWhere(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"", "a b", "h?x", "alpine", "h.example/x"} {
		wantError(t, New(quick(Options{})).Login(t.Context(), host, "alice", "secret"), ErrReference)
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	s := serve(t, basicOnly)
	o := plain(s)
	o.AuthFile = filepath.Join(t.TempDir(), "new", "config.json")
	err := New(o).Login(t.Context(), s.host, "alice", "wrong")
	wantError(t, err, ErrDenied, "log in to "+s.host, "401")
	if strings.Contains(err.Error(), "wrong") {
		t.Errorf("error %q tells the password", err)
	}
	if _, err := os.Stat(o.AuthFile); err == nil {
		t.Error("wrong credentials were kept")
	}
	if err := New(o).Login(t.Context(), s.host, "alice", "secret"); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(o.AuthFile); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", st, err)
	}
	if _, _, err := open(t, New(o), s.host+"/library/hello").Root(t.Context()); err != nil {
		t.Errorf("after it: %v", err)
	}
	if err := New(o).Logout(t.Context(), s.host); err != nil {
		t.Fatal(err)
	}
	wantError(t, New(o).Logout(t.Context(), s.host), ErrNotFound)
	_, _, err = open(t, New(o), s.host+"/library/hello").Root(t.Context())
	wantError(t, err, ErrDenied)
}

func TestLoginByToken(t *testing.T) {
	t.Parallel()
	ts := tokenServer(t)
	s := serve(t, ts.protect)
	o := plain(s)
	o.AuthFile = filepath.Join(t.TempDir(), "config.json")
	if err := New(o).Login(t.Context(), s.host, "alice", "secret"); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ts.users, []string{"alice"}) {
		t.Errorf("got users %q", ts.users)
	}
}

func TestLoginKeepsWhatElseIsThere(t *testing.T) {
	t.Parallel()
	s := serve(t, basicOnly)
	o := plain(s)
	o.AuthFile = writeFile(t, "config.json", []byte(`{"auths":{"other.example":{"auth":"YTpi"}},"credHelpers":{"x.example":"y"}}`))
	if err := New(o).Login(t.Context(), s.host, "alice", "secret"); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(o.AuthFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"other.example", "YTpi", "x.example", s.host} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%q is missing in %s", want, raw)
		}
	}
	o.AuthFile = writeFile(t, "config.json", []byte("not ours"))
	if err := New(o).Login(t.Context(), s.host, "alice", "secret"); err == nil {
		t.Error("a file of another kind was written over")
	}
	if raw, _ := os.ReadFile(o.AuthFile); string(raw) != "not ours" {
		t.Errorf("got %q", raw)
	}
}
