// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// interrupts sends the signal of ^C to this process when a line comes, and waits
// until it has arrived and whoever hears of it has had a turn.
type interrupts struct {
	bytes.Buffer
	once sync.Once
}

func (i *interrupts) Write(b []byte) (int, error) {
	i.once.Do(func() {
		arrived := make(chan os.Signal, 1)
		signal.Notify(arrived, syscall.SIGINT)
		defer signal.Stop(arrived)
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGINT)
		<-arrived
		for range 20 {
			time.Sleep(5 * time.Millisecond)
		}
	})
	return i.Buffer.Write(b)
}

// A verify that does not come to its end has no verdict to print.
func TestVerifyPrintsNoVerdictBeforeItsError(t *testing.T) {
	w := newWorld(t, absoluteHello(t))
	w.pulled()
	for _, flags := range []string{"", " --json"} {
		words, _, end := w.words("layerctl verify --progress plain" + flags)
		end()
		var stdout bytes.Buffer
		stderr := &interrupts{}
		if code := run(words, strings.NewReader(""), &stdout, stderr); code != exitSignal+int(syscall.SIGINT) {
			t.Errorf("verify%s: exit %d: %s", flags, code, stderr.String())
		}
		if stdout.Len() > 0 || strings.Contains(stderr.String(), "as committed") {
			t.Errorf("verify%s said %s%s", flags, &stdout, stderr.String())
		}
	}
	if code := run([]string{"layerctl", "verify", "-q"}, strings.NewReader(""), io.Discard, io.Discard); code != exitOK {
		t.Errorf("the store is damaged: exit %d", code)
	}
}
