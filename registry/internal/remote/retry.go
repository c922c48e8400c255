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
	// maxRetryAfter is the longest that a server may make us wait; above it
	// its refusal is final. Docker Hub's limit counts in hours.
	maxRetryAfter = 5 * time.Minute
	// strangerRetries is for hosts that never answered: more likely a wrong
	// name than a short outage.
	strangerRetries = 2
)

// attempts walks the routes that may answer one question, round after round,
// until one does or patience ends.
type attempts struct {
	o      *Options
	log    *slog.Logger
	routes []*route // the origin last

	queue []*route // of this round
	round int      // rounds begun without progress
	// Progress is bytes over time, for a byte now and then is a sign of life
	// that costs the sender nothing.
	gained int64
	waited time.Duration
	errs   map[*route]error
	last   *route // whose error came last
	told   bool   // of a pause, and not yet of its end

	again map[*route]int // how often one that had sent bytes was asked once more
	hold  time.Duration  // before it is
}

// Retry tells of a pause before hosts are asked again, and of its end.
type Retry struct {
	// Host is the one that failed last.
	Host string
	// Round is how many rounds over all hosts brought nothing, of the Rounds
	// after which it is given up.
	Round, Rounds int
	// Wait is the pause.
	Wait time.Duration
	// Err is why Host failed; nil says that what was waited for comes again.
	Err error
	// Status is the HTTP status of an answer that is to come later; 0 where none
	// came.
	Status int
}

func newAttempts(o *Options, log *slog.Logger, routes []*route) *attempts {
	return &attempts{o: o, log: log, routes: routes, errs: map[*route]error{}, again: map[*route]int{}}
}

// next is the route to try now. It waits before each new round. Its error is
// why there is no use in going on.
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

// failed takes note of why a route did not answer.
func (a *attempts) failed(rt *route, err error) {
	if auth := rt.peer.now().auth; auth != nil {
		err = auth.Hide(err)
	}
	a.errs[rt], a.last = err, rt
	a.log.Info("host failed", "host", rt.peer.host, "round", a.round, "err", err)
	if a.again[rt] > 0 && a.onceMore(rt) {
		return
	}
	var status *transport.StatusError
	switch {
	case errors.Is(err, errNoRanges): // it does what it can
	case !errors.As(err, &status), status.Status >= 500, status.Status == http.StatusTooManyRequests:
		rt.peer.mark(false)
	}
}

const (
	// maxAgain bounds how often a mirror that broke is asked once more before
	// the registry is, to which the way may be long and thin.
	maxAgain = 3
	// recovered is how many bytes in one answer show that a break is over.
	recovered = 1 << 20
)

// broke takes note of why a route stopped, after it had sent so many bytes.
func (a *attempts) broke(rt *route, err error, sent int64) {
	if sent >= recovered {
		a.again[rt] = 0
	}
	if sent > 0 && a.again[rt] == 0 && a.onceMore(rt) {
		a.errs[rt], a.last = err, rt
		a.log.Info("host broke off", "host", rt.peer.host, "sent", sent, "err", err)
		return
	}
	a.failed(rt, err)
}

// onceMore has a mirror that sent bytes asked again: at once, and then after
// pauses as long as only the registry itself is left.
func (a *attempts) onceMore(rt *route) bool {
	origin := a.routes[len(a.routes)-1]
	next := slices.DeleteFunc(slices.Clone(a.queue), func(r *route) bool { return r == rt })
	n := a.again[rt]
	err, failed := a.errs[rt]
	switch {
	case rt == origin || n >= maxAgain, n > 0 && failed && !retryable(err):
		return false
	case n > 0 && len(next) > 0 && next[0] != origin:
		return false
	case n > 0:
		a.hold = a.o.Backoff << n
	}
	a.again[rt]++
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

// progressed takes note of bytes that came, and of how long they were waited
// for. They renew the patience if they came at the least rate at which a
// connection is let live.
func (a *attempts) progressed(n int, waited time.Duration) {
	a.answered()
	a.gained += int64(n)
	a.waited += waited
	if float64(a.gained) >= a.leastRate()*a.waited.Seconds() {
		a.round, a.queue, a.gained, a.waited = 0, nil, 0, 0
	}
}

// tell tells of a pause.
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

// answered tells of the end of a pause that was told of.
func (a *attempts) answered() {
	if a.told {
		a.told = false
		a.o.OnRetry(Retry{Host: a.last.peer.host})
	}
}

// leastRate is in bytes a second. Our own limit is not the sender's fault.
func (a *attempts) leastRate() float64 {
	if limit := a.o.LimitRate; limit > 0 && limit < 4*transport.MinRate {
		return float64(limit) / 4
	}
	return transport.MinRate
}

// roundOver says that all have been asked that were to be.
func (a *attempts) roundOver() bool { return len(a.queue) == 0 }

// saw says whether one of the routes failed for that reason.
func (a *attempts) saw(reason error) bool {
	for _, err := range a.errs {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}

// live are the routes that may still answer, those that failed lately last.
func (a *attempts) live() []*route {
	var well, ill []*route
	for _, rt := range a.routes {
		switch err := a.errs[rt]; {
		case err != nil && !retryable(err):
		case rt.peer.failing():
			ill = append(ill, rt)
		default:
			well = append(well, rt)
		}
	}
	return append(well, ill...)
}

func (a *attempts) patience(live []*route) int {
	for _, rt := range live {
		if rt.peer.hasAnswered() {
			return a.o.Retries
		}
	}
	return min(a.o.Retries, strangerRetries)
}

// verdict is the origin's error where it was asked, for it is the one that the
// user named.
func (a *attempts) verdict() error {
	for _, rt := range slices.Backward(a.routes) {
		if err := a.errs[rt]; err != nil {
			return err
		}
	}
	return failure.New(failure.Network, "no host to ask")
}

// pause waits as long as manners ask for.
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

// asked is the shortest Retry-After, if all routes that are left sent one.
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

// backoff is nothing for the first round and the first after progress, then
// doubles, with a random part so that many clients spread.
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

// retryable says whether the same host may answer the same question later.
func retryable(err error) bool {
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
