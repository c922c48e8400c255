// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/layerctl/layerctl/internal/window"
)

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "02:00", "2-5", "02:00-25:00", "02:00-02:00", "02:00-05:00-06:00", "05:00–06:00", "02:60-03:00"} {
		if w, err := window.Parse(text); err == nil {
			t.Errorf("%q is %+v", text, w)
		}
	}
}

func TestOpen(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("needs a database of time zones: ", err)
	}
	const form = "2006-01-02 15:04"
	for _, c := range []struct {
		window, now, begin, end, next string
		where                         *time.Location
	}{
		{"02:00-05:00", "2026-11-29 03:00", "2026-11-29 02:00", "2026-11-29 05:00", "2026-11-30 02:00", time.UTC},
		{"02:00-05:00", "2026-11-29 02:00", "2026-11-29 02:00", "2026-11-29 05:00", "2026-11-30 02:00", time.UTC},
		{"02:00-05:00", "2026-11-29 05:00", "", "", "2026-11-30 02:00", time.UTC},
		{"02:00-05:00", "2026-11-29 01:59", "", "", "2026-11-29 02:00", time.UTC},
		{"22:00-04:00", "2026-11-29 23:00", "2026-11-29 22:00", "2026-11-30 04:00", "2026-11-30 22:00", time.UTC},
		{"22:00-04:00", "2026-12-01 03:59", "2026-11-30 22:00", "2026-12-01 04:00", "2026-12-01 22:00", time.UTC},
		{"22:00-04:00", "2026-12-01 04:00", "", "", "2026-12-01 22:00", time.UTC},
		// The clock goes from 02:00 to 03:00, and from 03:00 to 02:00.
		{"02:30-05:00", "2026-03-29 03:30", "2026-03-29 03:30", "2026-03-29 05:00", "2026-03-30 02:30", berlin},
		{"01:00-05:00", "2026-10-25 04:00", "2026-10-25 01:00", "2026-10-25 05:00", "2026-10-26 01:00", berlin},
	} {
		t.Run(c.window+" at "+c.now, func(t *testing.T) {
			w, err := window.Parse(c.window)
			if err != nil {
				t.Fatal(err)
			}
			now, err := time.ParseInLocation(form, c.now, c.where)
			if err != nil {
				t.Fatal(err)
			}
			begin, end, open := w.Open(now)
			if open != (c.begin != "") || open && (begin.Format(form) != c.begin || end.Format(form) != c.end) {
				t.Errorf("open %v from %v to %v", open, begin, end)
			}
			if next := w.Next(now); next.Format(form) != c.next {
				t.Errorf("next %v", next)
			}
		})
	}
	if _, end, open := (window.Window{}).Open(time.Now()); !open || !end.IsZero() {
		t.Error("all day is not open, or ends")
	}
}

// TestSplay: a machine has one place, and three hundred fill the time evenly.
func TestSplay(t *testing.T) {
	const most = 30 * time.Minute
	var tenths [10]int
	for i := range 300 {
		id := fmt.Sprintf("%032x", i)
		at := window.Splay(id, most)
		if at != window.Splay(id, most) || at < 0 || at >= most {
			t.Fatalf("%s begins at %v", id, at)
		}
		tenths[at*10/most]++
	}
	for i, n := range tenths {
		if n < 15 || n > 45 {
			t.Errorf("%d of 300 machines begin in tenth %d", n, i)
		}
	}
	if window.Splay("x", 0) != 0 || window.Splay("x", time.Millisecond) != 0 {
		t.Error("a machine waits for no time")
	}
}
