// SPDX-License-Identifier: Apache-2.0

// Package failure says to a person what went wrong: one line, and where it is
// known what to do about it, a hint. The library's errors name no flag; the
// hint does, and it is chosen by what happened, never by the kind of the error
// alone.
package failure
