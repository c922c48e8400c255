// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/registrytest"
)

// What is written once the context has ended appears not even in part.
func TestNothingIsWrittenAfterTheEnd(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	output := terminal.NewOutput(ctx, file)
	if _, err := output.Write([]byte("before")); err != nil {
		t.Error(err)
	}
	cancel()
	for range 100 {
		if n, err := output.Write([]byte("after")); n != 0 || !errors.Is(err, context.Canceled) {
			t.Fatalf("got %d, %v", n, err)
		}
	}
	if got := readFile(t, file.Name()); string(got) != "before" {
		t.Errorf("written is %q", got)
	}
}

// onTerminal runs the command with a terminal for standard output, and
// returns what the terminal got.
func onTerminal(t *testing.T, args ...string) string {
	t.Helper()
	code, got, said := exitOnTerminal(t, args...)
	if code != exitOK {
		t.Errorf("layerctl %q: exit %d: %s", args, code, said)
	}
	return got
}

func exitOnTerminal(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	master, slave := openTerminal(t)
	got := make(chan string)
	go func() {
		var all bytes.Buffer
		_, _ = all.ReadFrom(master) // ends with EIO when the other side is closed
		got <- all.String()
	}()
	var said bytes.Buffer
	code = run(append([]string{"layerctl"}, args...), nil, slave, &said)
	slave.Close()
	return code, strings.ReplaceAll(<-got, "\r\n", "\n"), said.String()
}

// openTerminal is a new terminal: who types, and what a program has.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("needs a terminal: ", err)
	}
	t.Cleanup(func() { master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Skip("needs a terminal: ", err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("needs a terminal: ", err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func TestColourOnATerminalOnly(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	const esc = "\x1b["
	for _, form := range []string{"inspect", "resolve --explain", "inspect --manifest-tool"} {
		args := append(strings.Fields(form), "--platform", "linux/arm/v7", "oci:"+helloLayout)
		if got := onTerminal(t, args...); !strings.Contains(got, esc) {
			t.Errorf("%s: no colour on a terminal: %q", form, got)
		}
		if got := output(t, args...); strings.Contains(got, esc) {
			t.Errorf("%s: colour in a pipe: %q", form, got)
		}
	}
	for variable, value := range map[string]string{"NO_COLOR": "1", "TERM": "dumb"} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, value)
			if got := onTerminal(t, "inspect", "oci:"+helloLayout); strings.Contains(got, esc) {
				t.Errorf("colour: %q", got)
			}
		})
	}
}

// JSON may hold what a terminal acts on without holding a control character
// that JSON forbids.
func TestDocumentsOnATerminal(t *testing.T) {
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	r.Add(ocispec.MediaTypeImageIndex, []byte("{\"schemaVersion\":2,\"annotations\":{\"a\":\"\u009b31m\u202e\"},\"manifests\":[]}"), "latest")
	for _, form := range []string{"--raw", "--json", "--docker", "--format={{.annotations}}"} {
		args := []string{"inspect", "--quiet", form, "--plain-http", r.Host, r.Host + "/image"}
		if got := onTerminal(t, args...); strings.ContainsAny(got, "\u009b\u202e") {
			t.Errorf("%s: it got through: %q", form, got)
		}
		if got := output(t, args...); form == "--raw" && !strings.Contains(got, "\u009b31m\u202e") {
			t.Errorf("%s: not exact in a pipe: %q", form, got)
		}
	}
}

func TestArchivesAreNotForATerminal(t *testing.T) {
	code, got, said := exitOnTerminal(t, "export", "--quiet", "--as", "oci-archive", "--platform", "linux/amd64", "oci:"+helloLayout)
	if code != exitUsage || got != "" || !strings.Contains(said, "nothing for a terminal") {
		t.Errorf("exit %d, %q, %s", code, got, said)
	}
}

// What draws on a terminal leaves one alone that cannot be drawn on.
func TestProgressOnADumbTerminal(t *testing.T) {
	for term, draws := range map[string]bool{"dumb": false, "xterm": true} {
		t.Run(term, func(t *testing.T) {
			t.Setenv("TERM", term)
			master, slave := openTerminal(t)
			got := make(chan string)
			go func() {
				var all bytes.Buffer
				_, _ = all.ReadFrom(master)
				got <- all.String()
			}()
			code := run([]string{"layerctl", "pull", "--store", t.TempDir(), "--platform", "linux/amd64", "oci:" + helloLayout}, nil, &bytes.Buffer{}, slave)
			slave.Close()
			text := <-got
			if code != exitOK || strings.Contains(text, "\x1b[") != draws || !strings.Contains(text, "layerctl: pulled 1 image: 890 B in ") {
				t.Errorf("exit %d: %q", code, text)
			}
		})
	}
}
