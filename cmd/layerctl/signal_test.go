// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/imagetest"
)

// bigLayout is an image that no pipe holds.
func bigLayout(t *testing.T) string {
	t.Helper()
	l := imagetest.NewLayout(filepath.Join(t.TempDir(), "big"))
	noise := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // never fails
	body := string(noise)
	l.Tag(l.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, imagetest.Tar(imagetest.File("a", body), imagetest.File("b", body))), "latest")
	return "oci:" + l.Dir
}

// Whoever stops reading ends the command, which leaves nothing behind and says
// nothing.
func TestBrokenPipe(t *testing.T) {
	image := bigLayout(t)
	for _, words := range []string{"export", "export --as oci-archive", "cat REF:/a"} {
		t.Run(words, func(t *testing.T) {
			temp := t.TempDir()
			args := append([]string{"--store", filepath.Join(t.TempDir(), "none"), "--quiet", "--platform", "linux/amd64"}, strings.Fields(words)...)
			last := args[len(args)-1]
			if path, ok := strings.CutPrefix(last, "REF"); ok {
				args[len(args)-1] = image + path
			} else {
				args = append(args, image)
			}
			c := layerctlCommand(t, args...)
			c.Env = append(c.Env, "TMPDIR="+temp)
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			c.Stdout = writer
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			writer.Close()
			_, _ = io.ReadFull(reader, make([]byte, 100))
			reader.Close()
			_ = c.Wait() // the code is what is looked at
			if got, want := c.ProcessState.ExitCode(), exitSignal+int(syscall.SIGPIPE); got != want {
				t.Errorf("exit %d, want %d", got, want)
			}
			if c.stderr.Len() != 0 {
				t.Errorf("it says %q", &c.stderr)
			}
			if left := entries(t, temp); len(left) != 0 {
				t.Errorf("left in $TMPDIR: %q", left)
			}
		})
	}
}

// One signal ends whatever waits for somebody else. In the short form each wait has
// one of the two.
func TestOneSignalEndsEachWait(t *testing.T) {
	image := bigLayout(t)
	for i, words := range []string{
		"login --username alice --password-stdin example.com",
		"pull --creds-stdin example.com/image",
		"pull -f -", "pull -f FIFO", "ls oci-archive:-",
		"export " + image, "export -o FIFO " + image, "cat " + image + ":/a",
	} {
		for j, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
			if !full() && j != i%2 {
				continue
			}
			t.Run(strings.ReplaceAll(words, image, "REF")+" "+unix.SignalName(signal), func(t *testing.T) {
				fifo := filepath.Join(t.TempDir(), "fifo")
				if err := unix.Mkfifo(fifo, 0o600); err != nil {
					t.Fatal(err)
				}
				args := strings.Fields(strings.ReplaceAll(words, "FIFO", fifo))
				c := layerctlCommand(t, append([]string{"--store", filepath.Join(t.TempDir(), "store"), "--quiet", "--platform", "linux/amd64"}, args...)...)
				if _, err := c.StdinPipe(); err != nil { // nobody writes to it
					t.Fatal(err)
				}
				reader, writer, err := os.Pipe() // nobody reads from it
				if err != nil {
					t.Fatal(err)
				}
				defer reader.Close()
				c.Stdout = writer
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				writer.Close()
				waitUntilBlocked(t, c.Cmd)
				if err := c.Process.Signal(signal); err != nil {
					t.Fatal(err)
				}
				_ = c.Wait() // the code is what is looked at
				if got, want := c.ProcessState.ExitCode(), exitSignal+int(signal); got != want {
					t.Errorf("exit %d, want %d: %s", got, want, &c.stderr)
				}
			})
		}
	}
}

// waitUntilBlocked waits until a thread of the process waits for a pipe.
func waitUntilBlocked(t *testing.T, c *exec.Cmd) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		waits, _ := filepath.Glob("/proc/" + strconv.Itoa(c.Process.Pid) + "/task/*/wchan")
		for _, w := range waits {
			where, _ := os.ReadFile(w) // the thread may have ended
			if strings.Contains(string(where), "pipe_") || strings.Contains(string(where), "wait_for_partner") || strings.Contains(string(where), "fifo_open") {
				return
			}
		}
	}
	t.Skip("this kernel does not say where a thread waits")
}

// nohup means that a hangup is ignored.
func TestHangupThatIsIgnoredStaysSo(t *testing.T) {
	nohup, err := exec.LookPath("nohup")
	if err != nil {
		t.Skip("needs nohup")
	}
	c := layerctlCommand(t, "--store", filepath.Join(t.TempDir(), "store"), "pull", "-f", "-")
	c.Args = append([]string{"nohup"}, c.Args...)
	c.Args[1], c.Path = c.Path, nohup
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	waitUntilBlocked(t, c.Cmd)
	if err := c.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	_ = c.Wait() // the code is what is looked at
	if got := c.ProcessState.ExitCode(); got != exitOK {
		t.Errorf("exit %d, want %d: %s", got, exitOK, &c.stderr)
	}
}
