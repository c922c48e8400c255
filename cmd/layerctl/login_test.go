// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// typist sits at a terminal on which a process runs.
type typist struct {
	t             *testing.T
	master, slave *os.File
	process       *exec.Cmd

	mu    sync.Mutex
	shown bytes.Buffer
}

func (y *typist) Write(b []byte) (int, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.shown.Write(b)
}

func (y *typist) screen() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.shown.String()
}

// atTerminal starts layerctl in a session of its own, whose terminal it is.
func atTerminal(t *testing.T, args ...string) *typist {
	t.Helper()
	y := &typist{t: t}
	y.master, y.slave = openTerminal(t)
	go func() {
		b := make([]byte, 1024)
		for {
			n, err := y.master.Read(b)
			_, _ = y.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	y.process = exec.CommandContext(ctx, "layerctl", args...)
	y.process.Stdin, y.process.Stdout, y.process.Stderr = y.slave, y.slave, y.slave
	y.process.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := y.process.Start(); err != nil {
		t.Fatal(err)
	}
	return y
}

// sees waits until the text is on the screen.
func (y *typist) sees(text string) {
	y.t.Helper()
	y.until(func() bool { return strings.Contains(y.screen(), text) }, text+" on the screen")
}

func (y *typist) until(true func() bool, what string) {
	y.t.Helper()
	for end := time.Now().Add(time.Minute); !true(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			y.t.Fatalf("waited for %s: %q", what, y.screen())
		}
	}
}

func (y *typist) types(text string) {
	y.t.Helper()
	if _, err := y.master.WriteString(text); err != nil {
		y.t.Fatal(err)
	}
}

// echo says whether the terminal shows what is typed.
func (y *typist) echo() bool {
	y.t.Helper()
	mode, err := unix.IoctlGetTermios(int(y.slave.Fd()), unix.TCGETS)
	if err != nil {
		y.t.Fatal(err)
	}
	return mode.Lflag&unix.ECHO != 0
}

// ends waits for the process.
func (y *typist) ends(code int) {
	y.t.Helper()
	_ = y.process.Wait() // the code is what is looked at
	if got := y.process.ProcessState.ExitCode(); got != code {
		y.t.Errorf("exit %d, want %d: %q", got, code, y.screen())
	}
	if !y.echo() {
		y.t.Error("the terminal is left silent")
	}
}

// basicAuth lets alice in.
func basicAuth(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "alice" || password != "hunter 2" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func TestLoginOnATerminal(t *testing.T) {
	s := serve(t, basicAuth)
	file := filepath.Join(t.TempDir(), "auth.json")
	login := []string{"login", "--plain-http", s.host, "--authfile", file, s.host}

	y := atTerminal(t, login...)
	y.sees("Username: ")
	y.types("alice\n")
	y.sees("Password: ")
	y.until(func() bool { return !y.echo() }, "a silent terminal")
	y.types("hunter 2\n")
	y.ends(exitOK)
	y.sees("logged in to " + s.host + " as alice")
	if strings.Contains(y.screen(), "hunter") {
		t.Errorf("the password is on the screen: %q", y.screen())
	}
	kept, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(kept), "YWxpY2U6aHVudGVyIDI=") {
		t.Errorf("got %s, %v", kept, err)
	}
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file: %v, %v", fi.Mode(), err)
	}

	y = atTerminal(t, append(login, "--username", "alice")...)
	y.sees("Password: ")
	y.until(func() bool { return !y.echo() }, "a silent terminal")
	y.types("hunter 3\n")
	y.ends(exitDenied)
	if strings.Contains(y.screen(), "hunter") {
		t.Errorf("the password is on the screen: %q", y.screen())
	}
}

// Whoever changes their mind gets the terminal back as it was.
func TestLoginInterrupted(t *testing.T) {
	for _, prompt := range []string{"Username: ", "Password: "} {
		t.Run(prompt, func(t *testing.T) {
			y := atTerminal(t, "login", "example.com")
			if y.sees("Username: "); prompt == "Password: " {
				y.types("alice\n")
				y.sees(prompt)
				y.until(func() bool { return !y.echo() }, "a silent terminal")
			}
			y.types("\x03")
			y.ends(exitSignal + int(syscall.SIGINT))
		})
	}
	t.Run("end of input", func(t *testing.T) {
		y := atTerminal(t, "login", "--username", "alice", "example.com")
		y.sees("Password: ")
		y.until(func() bool { return !y.echo() }, "a silent terminal")
		y.types("\x04")
		y.ends(exitFailure)
	})
}
