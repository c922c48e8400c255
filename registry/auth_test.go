// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/layerctl/layerctl/internal/imagetest"
)

// authFile is a docker config.json with one user for a host.
func authFile(t *testing.T, host, user, password string) string {
	t.Helper()
	return writeFile(t, "config.json", imagetest.JSON(map[string]any{
		"auths": map[string]any{host: map[string]string{"username": user, "password": password}},
	}))
}

func identityFile(t *testing.T, host, token string) string {
	t.Helper()
	return writeFile(t, "config.json", imagetest.JSON(map[string]any{
		"auths": map[string]any{host: map[string]string{"identitytoken": token}},
	}))
}

// basicOnly lets alice in.
func basicOnly(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "alice" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	})
}

func TestBasic(t *testing.T) {
	t.Parallel()
	s := serve(t, basicOnly)
	ref := s.host + "/library/hello"
	o := plain(s)
	_, _, err := open(t, New(o), ref).Root(t.Context())
	wantError(t, err, ErrDenied, "401", "no credentials for "+s.host)
	s.asked()

	o.AuthFile = authFile(t, s.host, "alice", "wrong")
	_, _, err = open(t, New(o), ref).Root(t.Context())
	wantError(t, err, ErrDenied, "401")
	if got := s.asked(); len(got) != 2 {
		t.Errorf("wrong password: got %d requests %q, want 2", len(got), got)
	}

	o.Logins = map[string]Login{s.host: {"alice", "secret"}}
	if _, _, err := open(t, New(o), ref).Root(t.Context()); err != nil {
		t.Errorf("credentials of the options: %v", err)
	}
	s.asked()
	o.Logins = map[string]Login{"other.example": {"alice", "wrong"}}

	o.AuthFile = authFile(t, s.host, "alice", "secret")
	c := New(o)
	for i, want := range []int{2, 1} { // the second knows what the first learnt
		if _, _, err := open(t, c, ref).Root(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.asked(); len(got) != want {
			t.Errorf("reference %d: got requests %q, want %d", i, got, want)
		}
	}
}

// TestBrokenCredentials holds that what cannot be read or asked is told, and
// keeps nobody from what is public.
func TestBrokenCredentials(t *testing.T) {
	t.Parallel()
	ts := tokenServer(t)
	public, private := serve(t, ts.protect), serve(t, basicOnly)
	for name, content := range map[string]string{
		"no helper":       `{"credsStore":"absent"}`,
		"a helper's name": fmt.Sprintf(`{"credHelpers":{%q:"../x",%q:"../x"}}`, public.host, private.host),
		"a broken entry":  fmt.Sprintf(`{"auths":{%q:{"auth":"!!!"},%q:5}}`, public.host, private.host),
	} {
		var warnings []string
		o := plain(public)
		o.AuthFile = writeFile(t, "config.json", []byte(content))
		o.OnWarning = func(text string) { warnings = append(warnings, text) }
		c := New(o)
		for range 2 {
			if _, _, err := open(t, c, public.host+"/library/hello").Root(t.Context()); err != nil {
				t.Errorf("%s: a public image: %v", name, err)
			}
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0], public.host) || !strings.Contains(warnings[0], "config.json") {
			t.Errorf("%s: got warnings %q, want one", name, warnings)
		}
		o.PlainHTTP = []string{private.host}
		_, _, err := open(t, New(o), private.host+"/library/hello").Root(t.Context())
		wantError(t, err, ErrDenied, "401", "config.json")
	}
}

// tokens is a token server, and the guard of the registry it is for.
type tokens struct {
	*httptest.Server
	realm string // "" for its own

	mu       sync.Mutex
	given    int
	users    []string // who asked, "" for nobody
	scopes   []string
	lifetime int // requests that a token is good for; 0 means for ever
	used     int
	redirect string // where to, instead of an answer
}

func tokenServer(t *testing.T) *tokens {
	ts := &tokens{}
	ts.Server = httptest.NewServer(ts)
	t.Cleanup(ts.Close)
	ts.realm = ts.URL + "/token?account=x"
	return ts
}

func (ts *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	user, _, _ := r.BasicAuth()
	if r.Method == http.MethodPost {
		user = r.PostFormValue("refresh_token")
	}
	if ts.redirect != "" {
		http.Redirect(w, r, ts.redirect, http.StatusTemporaryRedirect)
		return
	}
	ts.users = append(ts.users, user)
	ts.scopes = append(ts.scopes, r.FormValue("scope"))
	ts.given++
	ts.used = 0
	_ = json.NewEncoder(w).Encode(map[string]any{"token": fmt.Sprintf("token-%d", ts.given), "expires_in": 300})
}

func (ts *tokens) protect(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ts.mu.Lock()
		ts.used++
		ok := ts.given > 0 && r.Header.Get("Authorization") == fmt.Sprintf("Bearer token-%d", ts.given) &&
			(ts.lifetime == 0 || ts.used <= ts.lifetime)
		ts.mu.Unlock()
		if !ok {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s",service="reg",scope="repository:library/hello:pull"`, ts.realm))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	})
}

func TestBearer(t *testing.T) {
	t.Parallel()
	ts := tokenServer(t)
	s := serve(t, ts.protect)
	src := open(t, New(plain(s)), s.host+"/library/hello")
	if _, _, err := src.Root(t.Context()); err != nil {
		t.Fatal(err)
	}
	// All layers at once share the token of the manifest.
	desc, _ := helloLayer(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := readAll(t.Context(), src, desc); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if ts.given != 1 || !slices.Equal(ts.scopes, []string{"repository:library/hello:pull"}) {
		t.Errorf("got %d tokens for %q, want one", ts.given, ts.scopes)
	}
}

func TestTokenIsRefreshedOnce(t *testing.T) {
	t.Parallel()
	ts := tokenServer(t)
	s := serve(t, ts.protect)
	src := open(t, New(plain(s)), s.host+"/library/hello")
	if _, _, err := src.Root(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The token that the client has is no longer good.
	ts.mu.Lock()
	ts.lifetime, ts.used = 1000, 1000
	ts.mu.Unlock()
	desc, _ := helloLayer(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := readAll(t.Context(), src, desc); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if ts.given != 2 {
		t.Errorf("got %d tokens, want one more", ts.given)
	}
}

func TestTokenThatIsNeverGoodEnough(t *testing.T) {
	t.Parallel()
	ts := tokenServer(t)
	ts.lifetime = -1
	s := serve(t, ts.protect)
	_, _, err := open(t, New(plain(s)), s.host+"/library/hello").Root(t.Context())
	wantError(t, err, ErrDenied, "401")
	if got := s.asked(); len(got) != 2 || ts.given != 1 {
		t.Errorf("got requests %q and %d tokens, want 2 and 1", got, ts.given)
	}
}

func TestStoredCredentialsAtTheTokenServer(t *testing.T) {
	t.Parallel()
	ts := tokenServer(t)
	s := serve(t, ts.protect)
	other := strings.Replace(ts.URL, "127.0.0.1", "localhost", 1) + "/token"
	tests := []struct {
		name  string
		realm string
		o     func(*Options)
		want  string // the user that the token server saw
	}{
		{"the registry's own host", ts.realm, func(o *Options) { o.AuthFile = authFile(t, s.host, "alice", "secret") }, "alice"},
		{"an identity token goes into the body", ts.realm, func(o *Options) { o.AuthFile = identityFile(t, s.host, "id-1") }, "id-1"},
		{"another site gets none", other, func(o *Options) { o.AuthFile = authFile(t, s.host, "alice", "secret") }, ""},
		{"another site that was named gets them", other, func(o *Options) {
			o.AuthFile = authFile(t, s.host, "alice", "secret")
			o.TokenHosts = []string{"localhost"}
		}, "alice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ts.realm, ts.users = tt.realm, nil
			o := plain(s)
			tt.o(&o)
			if _, _, err := open(t, New(o), s.host+"/library/hello").Root(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(ts.users, []string{tt.want}) {
				t.Errorf("got users %q, want %q", ts.users, tt.want)
			}
		})
	}
}

func TestWithheldCredentialsAreExplained(t *testing.T) {
	deny := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer deny.Close()
	ts := &tokens{realm: strings.Replace(deny.URL, "127.0.0.1", "localhost", 1) + "/token?secret=1"}
	s := serve(t, ts.protect)
	o := plain(s)
	o.AuthFile = authFile(t, s.host, "alice", "hunter2")
	_, _, err := open(t, New(o), s.host+"/library/hello").Root(t.Context())
	wantError(t, err, ErrDenied, "were not sent to localhost", "another site")
	if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "secret=") {
		t.Errorf("error %q tells a secret", err)
	}
}

func TestRealmsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, realm := range map[string]string{
		"another scheme": "ftp://127.0.0.1/token",
		"a file":         "file:///etc/passwd",
		"no host":        "/token",
		"with a user":    "http://u:p@127.0.0.1/token",
		"no URL":         "http://[",
	} {
		t.Run(name, func(t *testing.T) {
			ts := &tokens{realm: realm}
			s := serve(t, ts.protect)
			_, _, err := open(t, New(plain(s)), s.host+"/library/hello").Root(t.Context())
			wantError(t, err, ErrDenied, "token server")
		})
	}
}

// What is no printable ASCII in a refused realm is escaped once.
func TestRefusedRealmIsEscapedOnce(t *testing.T) {
	t.Parallel()
	ts := &tokens{realm: "/\u00fc"}
	s := serve(t, ts.protect)
	_, _, err := open(t, New(plain(s)), s.host+"/library/hello").Root(t.Context())
	wantError(t, err, ErrDenied, `token server "/\u00fc", which`)
}

func TestPlainRealmOfAnEncryptedRegistry(t *testing.T) {
	t.Parallel()
	ts := tokenServer(t)
	s := serveWith(t, ts.protect, (*httptest.Server).StartTLS)
	c := New(trust(t, quick(Options{}), s))
	_, _, err := open(t, c, s.host+"/library/hello").Root(t.Context())
	wantError(t, err, ErrDenied, "refused", "token server http://")
	if ts.given != 0 {
		t.Error("a token was asked for over http")
	}
}

func TestTokenServerRedirects(t *testing.T) {
	t.Parallel()
	target := tokenServer(t)
	ts := tokenServer(t)
	s := serve(t, ts.protect)
	o := plain(s)
	o.AuthFile = authFile(t, s.host, "alice", "secret")
	ts.redirect = target.URL
	_, _, _ = open(t, New(o), s.host+"/library/hello").Root(t.Context())
	if !slices.Equal(target.users, []string{""}) {
		t.Errorf("after a GET: got users %q, want nobody's credentials", target.users)
	}
	target.users = nil
	o.AuthFile = identityFile(t, s.host, "id-1")
	_, _, err := open(t, New(o), s.host+"/library/hello").Root(t.Context())
	wantError(t, err, ErrDenied, "307")
	if len(target.users) != 0 {
		t.Errorf("after a POST: got users %q, want no request", target.users)
	}
}

// A token is a token, whichever of the answers that mean success has it.
func TestTokenByAnotherSuccess(t *testing.T) {
	for _, status := range []int{http.StatusCreated, http.StatusAccepted, http.StatusNonAuthoritativeInfo} {
		service := httptest.NewServer(answer(status, nil, `{"token":"good"}`)(nil))
		defer service.Close()
		s := serve(t, before(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Authorization") == "Bearer good" {
				return false
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+service.URL+`"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}))
		if _, _, err := open(t, New(plain(s)), s.host+"/library/hello").Root(t.Context()); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestTokenAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"no JSON": "hello", "no token": "{}", "endless": `{"token":"` + strings.Repeat("x", (1<<20)) + `"}`, "a list": "[]",
	} {
		t.Run(name, func(t *testing.T) {
			deny := httptest.NewServer(answer(200, nil, body)(nil))
			defer deny.Close()
			ts := &tokens{realm: deny.URL}
			s := serve(t, ts.protect)
			_, _, err := open(t, New(plain(s)), s.host+"/library/hello").Root(t.Context())
			if err == nil {
				t.Error("got no error")
			} else if len(err.Error()) > 500 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
		})
	}
}
