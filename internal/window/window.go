// SPDX-License-Identifier: Apache-2.0

// Package window says when in a day work is to be done, and where in it each of
// many machines begins.
//
//	w, err := window.Parse("02:00-05:00")
//	if end, open := w.Open(time.Now()); open { … }
//	offset := window.Splay(machineID, 30*time.Minute)
//	err = window.Schedule{Window: w, Splay: offset, Repeat: 24 * time.Hour}.Run(ctx, once, failed)
package window

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"time"
)

// Window is a part of each day by the local clock; it may go beyond midnight.
// The zero Window is all day.
type Window struct {
	from, to clock
	set      bool
}

// clock is a time of the day, in minutes.
type clock int

// layout is how people write a time of the day.
const layout = "15:04"

// Parse reads "02:00-05:00".
func Parse(text string) (Window, error) {
	from, to, _ := strings.Cut(text, "-")
	begin, err := time.Parse(layout, from)
	end, endErr := time.Parse(layout, to)
	if err != nil || endErr != nil || begin.Equal(end) {
		return Window{}, fmt.Errorf("%.100q is no window such as 02:00-05:00", text)
	}
	at := func(t time.Time) clock { return clock(t.Hour()*60 + t.Minute()) }
	return Window{at(begin), at(end), true}, nil
}

// on is the time of the day of t, so many days later. Where the clock is set
// forward over it, it is as much later.
func (c clock) on(t time.Time, days int) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day()+days, 0, int(c), 0, 0, t.Location())
}

// Open says whether t is in the window, and when that began and ends. All day
// has no end.
func (w Window) Open(t time.Time) (begin, end time.Time, open bool) {
	if !w.set {
		return t, time.Time{}, true
	}
	for _, days := range []int{-1, 0} { // that of yesterday may go on
		begin, end := w.from.on(t, days), w.to.on(t, days)
		if !begin.Before(end) {
			end = w.to.on(t, days+1)
		}
		if !t.Before(begin) && t.Before(end) {
			return begin, end, true
		}
	}
	return time.Time{}, time.Time{}, false
}

// Next is when the window begins next, after t.
func (w Window) Next(t time.Time) time.Time {
	for days := range 3 {
		if begin := w.from.on(t, days); begin.After(t) {
			return begin
		}
	}
	return t.AddDate(0, 0, 1)
}

// Splay is how much later than others a machine begins: the same for a machine
// at all times, and spread evenly over machines, less than most. The id goes
// nowhere: what is made of it tells nobody what it was (machine-id(5)).
func Splay(id string, most time.Duration) time.Duration {
	seconds := uint64(most / time.Second)
	if seconds == 0 {
		return 0
	}
	sum := hmac.New(sha256.New, []byte(id))
	sum.Write([]byte("layerctl sync"))
	return time.Duration(binary.BigEndian.Uint64(sum.Sum(nil))%seconds) * time.Second
}

// MachineID is what tells this machine from others: /etc/machine-id, or where
// there is none its name.
func MachineID() (string, error) {
	raw, err := os.ReadFile("/etc/machine-id")
	if id := strings.TrimSpace(string(raw)); err == nil && id != "" && id != "uninitialized" {
		return id, nil
	}
	return os.Hostname()
}
