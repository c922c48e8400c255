// SPDX-License-Identifier: Apache-2.0

// Package host says how much memory of this machine the command may use, and what an
// ordinary user may do here.
package host
