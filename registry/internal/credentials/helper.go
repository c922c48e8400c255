// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/layerctl/layerctl/registry/internal/failure"
)

// question is one key about which a credential helper is asked.
type question struct{ helper, key string }

// notFound is what a helper prints, before it exits with 1, where it has no login.
const notFound = "credentials not found in native keychain"

// maxAnswer bounds how many bytes a helper may print.
const maxAnswer = 64 << 10

// helpersOf returns the helpers that may have a login for a name. whole says that the
// name is a host, for which also the helper for all hosts is asked.
func (f *file) helpersOf(name string, whole bool) []question {
	var all []question
	for _, key := range meaning(maps.Keys(f.helpers), name) {
		all = append(all, question{f.helpers[key], key})
	}
	if whole && len(all) == 0 && f.store != "" {
		all = append(all, question{f.store, storeKey(name)})
	}
	if whole && name == hub && len(all) > 0 && all[len(all)-1].key != hubKey {
		all = append(all, question{all[len(all)-1].helper, hubKey})
	}
	return all
}

// helperOf returns the helper that keeps the login of a host, if there is one.
func (f *file) helperOf(host string) (question, bool) {
	all := f.helpersOf(host, true)
	if len(all) == 0 {
		return question{}, false
	}
	return all[0], true
}

// storeKey returns the key under which docker keeps the login of a host.
func storeKey(host string) string {
	if host == hub {
		return hubKey
	}
	return host
}

// helperLogin is a login in the JSON of the protocol of helpers.
type helperLogin struct{ ServerURL, Username, Secret string }

// identity is the user name with which a helper marks a secret as an identity
// token.
const identity = "<token>"

// get asks for the login. It returns a zero Login where the helper has none.
func (q question) get(ctx context.Context, limit time.Duration) (Login, error) {
	answer, err := q.run(ctx, limit, "get", q.key)
	if err != nil && strings.Contains(string(answer), notFound) {
		return Login{}, nil
	}
	if err != nil {
		return Login{}, err
	}
	var kept helperLogin
	if json.Unmarshal(answer, &kept) != nil {
		return Login{}, fmt.Errorf("credential helper %s: the answer is no login", q.program())
	}
	if kept.Username == identity {
		return Login{IdentityToken: kept.Secret}, nil
	}
	return Login{Username: kept.Username, Password: kept.Secret}, nil
}

// keep gives the helper a login to keep.
func (q question) keep(ctx context.Context, limit time.Duration, username, password string) error {
	raw, err := json.Marshal(helperLogin{q.key, username, password})
	if err != nil {
		return err
	}
	_, err = q.run(ctx, limit, "store", string(raw), password)
	return err
}

// forget has the helper remove a login.
func (q question) forget(ctx context.Context, limit time.Duration) error {
	_, err := q.run(ctx, limit, "erase", q.key)
	return err
}

func (q question) program() string { return "docker-credential-" + q.helper }

// run runs the helper with the input until it ends, the limit of time is over or ctx is
// done. It returns what the helper printed. The error repeats that only if it has none of
// the secrets and does not look like a login.
func (q question) run(ctx context.Context, limit time.Duration, verb, input string, secrets ...string) ([]byte, error) {
	if strings.ContainsAny(q.helper, "/\\\x00") {
		return nil, fmt.Errorf("credential helper %s: a name has no slash", failure.OneLine(q.helper))
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(within, q.program(), verb)
	cmd.Stdin = strings.NewReader(input)
	var out, problems answerBuffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	// Kill the whole process group, or else a child of the helper would keep the
	// output open.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // the helper has ended, a child of it perhaps not
		return out.b.Bytes(), nil
	case ctx.Err() != nil:
		err = ctx.Err()
	case within.Err() != nil:
		err = fmt.Errorf("no answer in %s", limit)
	default:
		err = errors.New(q.explain(err, out.b.String()+problems.b.String(), secrets))
	}
	return out.b.Bytes(), fmt.Errorf("credential helper %s: %w", failure.OneLine(q.program()), err)
}

// explain says why the helper failed. It repeats what the helper printed only as run
// says.
func (q question) explain(err error, said string, secrets []string) string {
	text := failure.OneLine(err.Error())
	said = strings.TrimSpace(said)
	quiet := said == "" || strings.ContainsAny(said, "{}") || strings.Contains(said, "Secret")
	for _, s := range secrets {
		quiet = quiet || s != "" && strings.Contains(said, s)
	}
	if quiet {
		return text
	}
	return text + ": " + failure.OneLine(said)
}

// answerBuffer keeps up to maxAnswer bytes. More are an error, which ends the helper's
// output.
type answerBuffer struct{ b bytes.Buffer }

func (a *answerBuffer) Write(p []byte) (int, error) {
	if a.b.Len()+len(p) > maxAnswer {
		return 0, errors.New("more output than a login has")
	}
	return a.b.Write(p)
}
