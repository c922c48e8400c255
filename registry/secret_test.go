// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestSecretsAreNotRepeated: whatever a registry or a token server says, an
// error does not hold what was sent to it.
func TestSecretsAreNotRepeated(t *testing.T) {
	const password = "hunter2-hunter2"
	basic := base64.StdEncoding.EncodeToString([]byte("alice:" + password))
	for name, says := range map[string]http.HandlerFunc{
		"in a message": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"errors":[{"code":"DENIED","message":"` + r.Header.Get("Authorization") + " " + password + `"}]}`))
		},
		"in a long message": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(strings.Repeat("x", 293) + password))
		},
		"in a type": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/vnd."+password)
			_, _ = w.Write([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`))
		},
		"in a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "ftp://"+password+".example/"+password, http.StatusTemporaryRedirect)
		},
		"in an encoding": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", password)
			_, _ = w.Write([]byte("{}"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Authorization") == "" {
						w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
						w.WriteHeader(http.StatusUnauthorized)
						return
					}
					says(w, r)
				})
			})
			o := plain(s)
			o.AuthFile = authFile(t, s.host, "alice", password)
			_, _, err := open(t, New(o), s.host+"/library/hello").Root(t.Context())
			if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), basic) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("by a token server", func(t *testing.T) {
		deny := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, p, _ := r.BasicAuth()
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"details":"no such password: ` + p + `"}`))
		}))
		defer deny.Close()
		ts := &tokens{realm: deny.URL}
		s := serve(t, ts.protect)
		o := plain(s)
		o.AuthFile = authFile(t, s.host, "alice", password)
		_, _, err := open(t, New(o), s.host+"/library/hello").Root(t.Context())
		wantError(t, err, ErrDenied, "no such password: [hidden]")
	})
	t.Run("to a login", func(t *testing.T) {
		s := serve(t, func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, p, _ := r.BasicAuth()
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = w.Write([]byte(p))
			})
		})
		err := New(plain(s)).Login(t.Context(), s.host, "alice", password)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	})
}
