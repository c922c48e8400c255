// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"errors"
	"fmt"
	"strings"

	"github.com/layerctl/layerctl/errkind"
)

// RefusedError says that a policy does not accept an image. It matches
// [errkind.Mismatch] if there are signatures and none is good, and otherwise
// [errkind.Denied].
type RefusedError struct {
	// Policy is the file, and Line and Scope the requirement in it that is not met.
	// For a list of keys Line is 0.
	Policy string
	Line   int
	Scope  string
	// Reason says why, in one line.
	Reason string
	// Unsigned says that a signature is asked for and that there is none.
	Unsigned bool

	kind errkind.Kind
}

func (e *RefusedError) Error() string {
	where := e.Policy
	if e.Line > 0 {
		where = fmt.Sprintf("policy %s, line %d (%s)", e.Policy, e.Line, e.Scope)
	}
	return fmt.Sprintf("%s: %s", where, e.Reason)
}

// Unwrap returns the kind.
func (e *RefusedError) Unwrap() error { return e.kind }

func refuse(d *demand, reason string) *RefusedError {
	return &RefusedError{Policy: d.policy, Line: d.Line, Scope: d.rule.Scope, Reason: reason, kind: errkind.Denied}
}

// refuseAll makes the error of a demand that no signature meets: it gives the first four
// reasons, each once.
func refuseAll(d *demand, reasons []error) error {
	if len(reasons) == 0 {
		e := refuse(d, "a signature is asked for, and there is none")
		e.Unsigned = true
		return e
	}
	const most = 4
	counts := map[string]int{}
	var order []string
	kind := errkind.Denied
	for _, r := range reasons {
		if counts[r.Error()]++; counts[r.Error()] == 1 {
			order = append(order, r.Error())
		}
		if !errors.Is(r, errNamesNothing) {
			kind = errkind.Mismatch
		}
	}
	var texts []string
	for i, text := range order {
		if i == most {
			texts = append(texts, "…")
			break
		}
		if n := counts[text]; n > 1 {
			text = fmt.Sprintf("%s (%d times)", text, n)
		}
		texts = append(texts, text)
	}
	e := refuse(d, fmt.Sprintf("no signature is good: %s", strings.Join(texts, "; ")))
	e.kind = kind
	return e
}
