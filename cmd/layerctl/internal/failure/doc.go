// SPDX-License-Identifier: Apache-2.0

// Package failure turns an error into one line for a person and, if it is known what to
// do about it, a hint. The library's errors name no flags; hints do. A hint is chosen by
// what happened, never by the kind of the error alone.
package failure
