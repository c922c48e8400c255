// SPDX-License-Identifier: Apache-2.0

// Package host tells what this machine gives to the command: memory, and what
// an ordinary user may do on it.
package host
