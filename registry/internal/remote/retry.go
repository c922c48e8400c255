// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/transport"
)

const (
	// maxBackoff is the longest pause between rounds of our own choice.
	maxBackoff = 30 * time.Second
	// maxRetryAfter is how long a server may make us wait. A refusal with a longer
	// Retry-After is final; Docker Hub's limit is counted in hours.
	maxRetryAfter = 5 * time.Minute
	// strangerRetries is how often hosts are retried that have never answered: a
	// wrong name is more likely than a short outage.
	strangerRetries = 2
)

// attempts decides which of the routes to one answer is asked next. It goes over
// all of them in rounds, until one answers or the retries are used up.
type attempts struct {
	o      *Options
	log    *slog.Logger
	routes []*route // the registry's own is the last

	queue []*route // the routes of this round that are not asked yet
	round int      // how many rounds have begun since the last progress
	// gained and waited are the bytes since the last progress, and how long they
	// took. Progress needs many bytes in little time: a single byte now and then
	// costs a host nothing.
	gained int64
	waited time.Duration
	errs   map[*route]error // why each route failed last
	last   *route           // the route that failed last
	told   bool             // OnRetry heard of a pause, and not yet of its end

	repeats map[*route]int // how often a route was asked again out of turn; see repeat
	hold    time.Duration  // how long to wait before that
}

// Retry describes a pause before hosts are asked again, or its end.
type Retry struct {
	// Host is the one that failed last.
	Host string
	// Round is how many rounds over all hosts have brought nothing. After Rounds
	// of them the request fails.
	Round, Rounds int
	// Wait is the length of the pause.
	Wait time.Duration
	// Err is why Host failed; nil says that the pause is over, since bytes come
	// again.
	Err error
	// Status is the HTTP status with which Host refused; 0 where it did not answer.
	Status int
}

func newAttempts(o *Options, routes []*route) *attempts {
	return &attempts{o: o, log: o.Logger, routes: routes, errs: map[*route]error{}, repeats: map[*route]int{}}
}

// run asks one route after the other until ask succeeds. Its error says why nobody
// is asked any more.
func (a *attempts) run(ctx context.Context, ask func(*route) error) error {
	for {
		rt, err := a.next(ctx)
		if err != nil {
			return err
		}
		if err = ask(rt); err == nil {
			rt.peer.mark(true)
			a.answered()
			return nil
		}
		a.failed(rt, err)
	}
}

// next returns the route to ask now. It waits before each new round. Its error says
// why nobody is asked any more.
func (a *attempts) next(ctx context.Context) (*route, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(a.queue) == 0 {
		live := a.live()
		if len(live) == 0 || a.round > a.patience(live) {
			return nil, a.verdict()
		}
		if err := a.pause(ctx, live); err != nil {
			return nil, err
		}
		a.queue = live
		a.round++
	}
	if err := a.wait(ctx, a.hold, a.routes); err != nil {
		return nil, err
	}
	a.hold = 0
	rt := a.queue[0]
	a.queue = a.queue[1:]
	return rt, nil
}

// failed remembers why a route did not answer.
func (a *attempts) failed(rt *route, err error) {
	if auth := rt.peer.now().auth; auth != nil {
		err = auth.Hide(err)
	}
	a.errs[rt], a.last = err, rt
	a.log.Info("host failed", "host", rt.peer.host, "round", a.round, "err", err)
	if a.repeats[rt] > 0 && a.repeat(rt) {
		return
	}
	var status *transport.StatusError
	switch {
	case errors.Is(err, errNoRanges): // the host is well, and sends whole blobs only
	case !errors.As(err, &status), status.Status >= 500, status.Status == http.StatusTooManyRequests:
		rt.peer.mark(false)
	}
}

const (
	// maxRepeats bounds how often a mirror whose connection broke is asked again
	// before the registry is asked, to which the connection may be slow.
	maxRepeats = 3
	// recovered is how many bytes of one answer show that a mirror works again.
	recovered = 1 << 20
)

// broke remembers why a response broke off after that many bytes.
func (a *attempts) broke(rt *route, err error, sent int64) {
	if sent >= recovered {
		a.repeats[rt] = 0
	}
	if sent > 0 && a.repeats[rt] == 0 && a.repeat(rt) {
		a.errs[rt], a.last = err, rt
		a.log.Info("host broke off", "host", rt.peer.host, "sent", sent, "err", err)
		return
	}
	a.failed(rt, err)
}

// repeat puts a mirror that has sent bytes in front of the queue again, if it may be
// asked once more: the first time without a pause; then after a pause, and only
// where nobody but the registry itself is left to ask.
func (a *attempts) repeat(rt *route) bool {
	origin := a.routes[len(a.routes)-1]
	next := slices.DeleteFunc(slices.Clone(a.queue), func(r *route) bool { return r == rt })
	n := a.repeats[rt]
	err, failed := a.errs[rt]
	switch {
	case rt == origin || n >= maxRepeats, n > 0 && failed && !Retryable(err):
		return false
	case n > 0 && len(next) > 0 && next[0] != origin:
		return false
	case n > 0:
		a.hold = a.o.Backoff << n
	}
	a.repeats[rt]++
	if len(a.queue) == 0 && n == 0 {
		for _, r := range a.live() {
			if r != rt {
				next = append(next, r)
			}
		}
		a.round++
	}
	a.queue = slices.Insert(next, 0, rt)
	return true
}

// progressed counts n bytes that came, and how long they took. If they came at
// leastRate or faster, the rounds are counted from 0 again.
func (a *attempts) progressed(n int, waited time.Duration) {
	a.answered()
	a.gained += int64(n)
	a.waited += waited
	if float64(a.gained) >= a.leastRate()*a.waited.Seconds() {
		a.round, a.queue, a.gained, a.waited = 0, nil, 0, 0
	}
}

// tell reports a pause to OnRetry.
func (a *attempts) tell(wait time.Duration, rounds int) {
	if a.o.OnRetry == nil {
		return
	}
	a.told = true
	r := Retry{Host: a.last.peer.host, Round: a.round, Rounds: rounds, Wait: wait, Err: a.errs[a.last]}
	var status *transport.StatusError
	if errors.As(r.Err, &status) {
		r.Status = status.Status
	}
	a.o.OnRetry(r)
}

// answered reports the end of a pause to OnRetry, if the pause was reported.
func (a *attempts) answered() {
	if a.told {
		a.told = false
		a.o.OnRetry(Retry{Host: a.last.peer.host})
	}
}

// leastRate is the least rate that counts as progress, in bytes a second. It is lower
// where our own limit is low, which is no fault of the sender.
func (a *attempts) leastRate() float64 {
	if limit := a.o.LimitRate; limit > 0 && limit < 4*transport.MinRate {
		return float64(limit) / 4
	}
	return transport.MinRate
}

// roundOver reports whether all routes of this round have been asked.
func (a *attempts) roundOver() bool { return len(a.queue) == 0 }

// saw reports whether one of the routes failed for that reason.
func (a *attempts) saw(reason error) bool {
	for _, err := range a.errs {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}

// live returns the routes that may still answer; those of hosts that failed within
// the last minute come last.
func (a *attempts) live() []*route {
	var well, ill []*route
	for _, rt := range a.routes {
		switch err := a.errs[rt]; {
		case err != nil && !Retryable(err):
		case rt.peer.failing():
			ill = append(ill, rt)
		default:
			well = append(well, rt)
		}
	}
	return append(well, ill...)
}

// patience returns how many rounds may bring nothing.
func (a *attempts) patience(live []*route) int {
	for _, rt := range live {
		if rt.peer.hasAnswered() {
			return a.o.Retries
		}
	}
	return min(a.o.Retries, strangerRetries)
}

// verdict returns the registry's own error where it was asked, because the user has
// named it; else that of the mirror before it.
func (a *attempts) verdict() error {
	for _, rt := range slices.Backward(a.routes) {
		if err := a.errs[rt]; err != nil {
			return err
		}
	}
	return failure.New(failure.Network, "no host to ask")
}

// pause waits before a round, as long as the hosts ask for or backoff says.
func (a *attempts) pause(ctx context.Context, live []*route) error {
	wait := a.backoff()
	if asked, ok := a.asked(live); ok {
		wait = asked + wait/4 // so that not all come back at once
	}
	return a.wait(ctx, wait, live)
}

func (a *attempts) wait(ctx context.Context, wait time.Duration, live []*route) error {
	if wait <= 0 {
		return nil
	}
	a.log.Warn("wait before the next try", "wait", wait, "err", a.errs[a.last])
	a.tell(wait, a.patience(live))
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// asked returns the shortest Retry-After, if all live routes sent one.
func (a *attempts) asked(live []*route) (wait time.Duration, ok bool) {
	for _, rt := range live {
		var status *transport.StatusError
		if !errors.As(a.errs[rt], &status) || status.RetryAfter == 0 {
			return 0, false
		}
		if !ok || status.RetryAfter < wait {
			wait, ok = status.RetryAfter, true
		}
	}
	return wait, ok
}

// backoff returns no pause for the first round and the first after progress. Later
// pauses double, and have a random part so that many clients do not come at once.
func (a *attempts) backoff() time.Duration {
	if a.round == 0 || a.last == nil {
		return 0
	}
	d := a.o.Backoff << min(a.round-1, 16)
	if d > maxBackoff || d <= 0 {
		d = maxBackoff
	}
	return d/2 + rand.N(d/2+1)
}

// Retryable reports whether the same host may answer the same request later.
func Retryable(err error) bool {
	if failure.IsFinal(err) || errors.Is(err, failure.Mismatch) || errors.Is(err, context.Canceled) {
		return false
	}
	var status *transport.StatusError
	if !errors.As(err, &status) {
		return true
	}
	switch s := status.Status; {
	case status.RetryAfter > maxRetryAfter:
		return false
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly, s == http.StatusTooManyRequests:
		return true
	default:
		return s >= 500 && s != http.StatusNotImplemented && s != http.StatusHTTPVersionNotSupported
	}
}
