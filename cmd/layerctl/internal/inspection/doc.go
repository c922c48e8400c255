// SPDX-License-Identifier: Apache-2.0

// Package inspection has the commands inspect, platforms and resolve, which say what a
// reference holds and which image of it is chosen.
package inspection
