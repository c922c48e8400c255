// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// install makes a credential helper in PATH and returns a directory that it
// may write to, as $DIR.
func install(t *testing.T, name, script string) (dir string) {
	t.Helper()
	alone(t)
	dir = t.TempDir()
	script = "#!/bin/sh\nDIR='" + dir + "'\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return dir
}

// keeper is a helper that knows alice at h.example and bob at Docker Hub.
const keeper = `read host
case "$1 $host" in
"get h.example") echo '{"ServerURL":"h.example","Username":"alice","Secret":"s3"}' ;;
"get https://index.docker.io/v1/") echo '{"Username":"<token>","Secret":"id"}' ;;
get*) echo 'credentials not found in native keychain'; exit 1 ;;
esac`

func TestHelper(t *testing.T) {
	install(t, "test", keeper)
	for _, config := range []string{
		`{"credsStore":"test"}`,
		`{"credHelpers":{"h.example":"test","docker.io":"test"}}`,
		`{"credHelpers":{"https://h.example":"absent","h.example":"test","https://index.docker.io/v1/":"test"}}`,
		`{"auths":{"h.example":{"auth":"YTpi"},"other.example":{}},"credsStore":"test"}`,
	} {
		store := New(writeFile(t, config))
		for host, want := range map[string]Login{
			"h.example": {Username: "alice", Password: "s3"}, "docker.io": {IdentityToken: "id"}, "other.example": {},
		} {
			if l, err := store.Find(t.Context(), host, "x/y"); err != nil || l != want {
				t.Errorf("%s, %s: got %+v, %v, want %+v", config, host, l, err, want)
			}
		}
	}
}

func TestHelperThatFails(t *testing.T) {
	install(t, "test", `echo 'locked
out'; exit 1`)
	for helper, word := range map[string]string{
		"test": `locked\nout`, "absent": "docker-credential-absent", "../../bin/sh": "no slash", "": "docker-credential-",
	} {
		store := New(writeFile(t, fmt.Sprintf(`{"auths":{"b.example":{"auth":"YTpi"}},"credHelpers":{"a.example":%q,"b.example":%q}}`, helper, helper)))
		l, err := store.Find(t.Context(), "a.example", "x")
		var skipped *SkippedError
		if !errors.As(err, &skipped) || l != (Login{}) {
			t.Errorf("%q: got %+v, %v, want nothing and a SkippedError", helper, l, err)
		}
		wantError(t, err, word)
		if l, err := store.Find(t.Context(), "b.example", "x"); err != nil || l.Username != "a" {
			t.Errorf("%q: got %+v, %v, want what the file has", helper, l, err)
		}
		if l, err := store.Find(t.Context(), "c.example", "x"); err != nil || l != (Login{}) {
			t.Errorf("%q: got %+v, %v for a host of no helper", helper, l, err)
		}
	}
}

func TestHelperTellsNoSecret(t *testing.T) {
	for _, script := range []string{
		`echo '{"Username":"alice","Secret":"hunter2"'`,
		`echo '{"Username":"alice","Secret":"hunter2"}'; exit 1`,
		`echo '["hunter2"]'`, `cat; cat >&2; exit 1`, `echo "cannot keep hunter2"; exit 1`,
	} {
		install(t, "test", script)
		store := New(writeFile(t, `{"credsStore":"test"}`))
		errs := []error{store.Keep(t.Context(), "h.example", "alice", "hunter2")}
		if !strings.Contains(script, "cannot") {
			_, err := store.Find(t.Context(), "h.example", "x")
			errs = append(errs, err)
		}
		for _, err := range errs {
			if strings.Contains(fmt.Sprint(err), "hunter2") {
				t.Errorf("%s: error %q tells the secret", script, err)
			}
		}
	}
}

func TestHelperHasALimit(t *testing.T) {
	for _, script := range []string{"exec sleep 600", "sleep 600", "sleep 600 & wait", "trap '' TERM INT; sleep 600; sleep 600", "yes"} {
		install(t, "test", script)
		store := New(writeFile(t, `{"credsStore":"test"}`))
		store.limit = 50 * time.Millisecond
		_, err := store.Find(t.Context(), "h.example", "x")
		wantError(t, err, "docker-credential-test")
	}
	// What a helper leaves running does not hold its answer.
	install(t, "test", "sleep 600 & \n"+keeper)
	store := New(writeFile(t, `{"credsStore":"test"}`))
	if l, err := store.Find(t.Context(), "h.example", "x"); err != nil || l.Username != "alice" {
		t.Errorf("got %+v, %v", l, err)
	}
}

func TestHelperEndsWithTheContext(t *testing.T) {
	dir := install(t, "test", `echo >"$DIR/started"; sleep 600`)
	store := New(writeFile(t, `{"credsStore":"test"}`))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(dir + "/started"); err == nil {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if _, err := store.Find(ctx, "h.example", "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that of the context", err)
	}
}
