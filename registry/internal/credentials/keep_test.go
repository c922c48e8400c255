// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/layerctl/layerctl/errkind"
)

func TestKeep(t *testing.T) {
	alone(t)
	for _, host := range []string{"h.example:5000", "docker.io"} {
		path := filepath.Join(t.TempDir(), "new", "config.json")
		store := New(path)
		if err := store.Keep(t.Context(), host, "alice", "s:3"); err != nil {
			t.Fatal(err)
		}
		if l, err := store.Find(t.Context(), host, "x"); err != nil || (l != Login{Username: "alice", Password: "s:3"}) {
			t.Errorf("%s: got %+v, %v", host, l, err)
		}
		if err := store.Forget(t.Context(), host); err != nil {
			t.Fatal(err)
		}
		if err := store.Forget(t.Context(), host); !errors.Is(err, errkind.NotFound) {
			t.Errorf("%s: got %v, want NotFound", host, err)
		}
	}
}

// Without a home and its like there is no file to change.
func TestKeepNowhere(t *testing.T) {
	alone(t)
	t.Setenv("HOME", "")
	store := New("")
	if err := store.Keep(t.Context(), "h.example", "alice", "secret"); !errors.Is(err, errkind.Usage) {
		t.Errorf("keep: got %v, want a wrong usage", err)
	}
	if err := store.Forget(t.Context(), "h.example"); !errors.Is(err, errkind.Usage) {
		t.Errorf("forget: got %v, want a wrong usage", err)
	}
	if l, err := store.Find(t.Context(), "h.example", "x"); err != nil || l != (Login{}) {
		t.Errorf("find: got %+v, %v", l, err)
	}
}

// TestKeepReplaces holds that no other entry of the same host is found instead
// of the new one, and that all else stays.
func TestKeepReplaces(t *testing.T) {
	alone(t)
	path := writeFile(t, `{"auths":{"docker.io":{"auth":"b2xkOm9sZA=="},"index.docker.io":{"auth":"b2xkOm9sZA=="},"docker.io/team":{"auth":"YTpi"},
		"other.example":{"auth":"Yzpk"},"odd":5},"HttpHeaders":{"X":"y"},"credHelpers":{"x.example":"y"}}`)
	store := New(path)
	if err := store.Keep(t.Context(), "docker.io", "new", "new"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"docker.io/x": "new", "docker.io/team/x": "a", "other.example/x": "c"} {
		host, repository, _ := strings.Cut(name, "/")
		if l, err := store.Find(t.Context(), host, repository); err != nil || l.Username != want {
			t.Errorf("%s: got %+v, %v, want %s", name, l, err, want)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var content map[string]any
	if err := json.Unmarshal(raw, &content); err != nil || len(content) != 3 || !strings.Contains(string(raw), `"odd": 5`) {
		t.Errorf("%v: got %s", err, raw)
	}
}

func TestKeepForTheOwnerAlone(t *testing.T) {
	alone(t)
	path := writeFile(t, `{}`)
	link := filepath.Join(t.TempDir(), "link.json")
	if err := errors.Join(os.Chmod(path, 0o666), os.Symlink(path, link)); err != nil {
		t.Fatal(err)
	}
	if err := New(link).Keep(t.Context(), "h.example", "alice", "s3"); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", st.Mode(), err)
	}
	if st, err := os.Lstat(link); err != nil || st.Mode().Type() != os.ModeSymlink {
		t.Errorf("got %v, %v, want the symbolic link", st.Mode(), err)
	}
}

func TestKeepNothingInFilesOfOthers(t *testing.T) {
	alone(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root: gives files away")
	}
	theirs := writeFile(t, `{}`)
	inTheirs := writeFile(t, `{}`)
	missing := filepath.Join(t.TempDir(), "config.json")
	link := filepath.Join(t.TempDir(), "config.json")
	err := errors.Join(os.Chown(theirs, 1000, 1000), os.Chown(filepath.Dir(inTheirs), 1000, 1000), os.Chown(filepath.Dir(missing), 1000, 1000), os.Symlink(theirs, link))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{theirs, inTheirs, missing, link} {
		wantError(t, New(path).Keep(t.Context(), "h.example", "alice", "s3"), "belongs to user 1000")
		if raw, err := os.ReadFile(path); err == nil && string(raw) != "{}" {
			t.Errorf("%s: got %s", path, raw)
		}
	}
}

func TestKeepWithAHelper(t *testing.T) {
	dir := install(t, "test", `echo "$1" >>"$DIR/log"; cat >>"$DIR/log"; echo >>"$DIR/log"
[ "$1" = get ] && echo '{"Username":"alice","Secret":"s3"}'; exit 0`)
	path := writeFile(t, `{"credHelpers":{"h.example":"test"}}`)
	store := New(path)
	if err := errors.Join(store.Keep(t.Context(), "h.example", "alice", "s3"), store.Forget(t.Context(), "h.example")); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(dir + "/log")
	want := "store\n{\"ServerURL\":\"h.example\",\"Username\":\"alice\",\"Secret\":\"s3\"}\nget\nh.example\nerase\nh.example\n"
	if err != nil || string(log) != want {
		t.Errorf("got %q, %v, want %q", log, err, want)
	}
	if raw, err := os.ReadFile(path); err != nil || strings.Contains(string(raw), "auths") {
		t.Errorf("got %s, %v, want the file as it was", raw, err)
	}
}

// TestKeepManyAtOnce holds that logins which are kept at the same time in one file
// are all kept.
func TestKeepManyAtOnce(t *testing.T) {
	alone(t)
	store := New(filepath.Join(t.TempDir(), "new", "config.json"))
	const hosts = 16
	var wg sync.WaitGroup
	for i := range hosts {
		wg.Go(func() {
			if err := store.Keep(t.Context(), fmt.Sprintf("h%d.example", i), "alice", "s"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range hosts {
		host := fmt.Sprintf("h%d.example", i)
		if l, err := store.Find(t.Context(), host, "x"); err != nil || l.Username != "alice" {
			t.Errorf("%s: got %+v, %v", host, l, err)
		}
	}
}
