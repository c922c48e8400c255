// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"errors"
	"io"
	"time"
)

var errStalled = errors.New("stalled: less than 1 KiB a second")

// MinRate is the least rate that counts as progress, in bytes a second.
const MinRate = 1 << 10

// patient is the body of an answer. It fails, and ends its request, when less than
// MinRate comes for the time of limit. Only the time of its Reads counts: a slow reader
// is not the peer's fault.
type patient struct {
	body   io.ReadCloser
	limit  time.Duration
	ctx    context.Context //nolint:containedctx // the request's, which lives as long as its body
	cancel context.CancelCauseFunc
	timer  *time.Timer

	waited time.Duration // how long Reads have taken since the last progress
	got    int64         // how many bytes they returned
}

func newPatient(body io.ReadCloser, limit time.Duration, ctx context.Context, cancel context.CancelCauseFunc) *patient {
	p := &patient{body: body, limit: limit, ctx: ctx, cancel: cancel}
	p.timer = time.AfterFunc(limit, func() { cancel(errStalled) })
	p.timer.Stop()
	return p
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	start := time.Now()
	p.timer.Reset(p.limit - p.waited)
	n, err := p.body.Read(b)
	p.timer.Stop()
	p.waited += time.Since(start)
	p.got += int64(n)
	if float64(p.got) >= MinRate*p.limit.Seconds() {
		p.waited, p.got = 0, 0
	}
	if err == nil && p.waited >= p.limit {
		p.cancel(errStalled)
	}
	if err != nil && err != io.EOF && errors.Is(context.Cause(p.ctx), errStalled) {
		err = errStalled
	}
	return n, err
}

// outgoing is the body of a request. timer, which ends the request, stands still while
// the body is read: only the time in which the peer takes no bytes counts, for the
// source of the body has a limit of its own.
type outgoing struct {
	io.ReadCloser
	ctx   context.Context //nolint:containedctx // the request's
	pace  Pace
	timer *time.Timer
}

// Read implements io.Reader.
func (o *outgoing) Read(b []byte) (int, error) {
	if !o.timer.Stop() {
		// The time is over, or an answer has come: what is read here is not sent.
		return o.ReadCloser.Read(b)
	}
	n, err := o.ReadCloser.Read(b[:o.pace.Sent.slice(len(b))])
	terr := o.pace.Sent.take(o.ctx, n)
	o.timer.Reset(o.pace.Stall)
	if terr != nil {
		return n, terr
	}
	return n, err
}

// Close implements io.Closer.
func (p *patient) Close() error {
	p.timer.Stop()
	p.cancel(nil)
	return p.body.Close()
}
