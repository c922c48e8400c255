// SPDX-License-Identifier: Apache-2.0

package saved

import (
	"sync/atomic"
	"time"
)

// share is how many times what a checkpoint takes the next one waits.
const share = 100

// Pace says when the next checkpoint is due.
type Pace struct {
	every time.Duration
	timer *time.Timer
	due   atomic.Bool
	begun time.Time // the one that is being made, without what does not count
}

// Begin has ask called when the first one is due: so much later, or at once.
func (p *Pace) Begin(every time.Duration, atOnce bool, ask func()) (stop func()) {
	first := func() {
		p.due.Store(true)
		ask()
	}
	p.every = every
	if p.timer = time.AfterFunc(every, first); atOnce || every < time.Millisecond {
		first()
	}
	return func() { p.timer.Stop() }
}

// Due reports whether one is due, and begins it.
func (p *Pace) Due() bool {
	p.begun = time.Now()
	return p.due.Swap(false)
}

// Except does what does not count as making it.
func (p *Pace) Except(do func() error) error {
	at := time.Now()
	err := do()
	p.begun = p.begun.Add(time.Since(at))
	return err
}

// Made has the next one come, so long after this.
func (p *Pace) Made() { p.timer.Reset(max(p.every, share*time.Since(p.begun))) }
