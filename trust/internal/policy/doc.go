// SPDX-License-Identifier: Apache-2.0

// Package policy reads the files in which a machine says which images it lets
// in, and finds what they ask of one:
// https://github.com/containers/image/blob/main/docs/containers-policy.json.5.md.
//
// The format is strict: a member that is not known, one that stands twice, and
// a value that makes no sense refuse the whole file. What the format knows and
// is not understood here, OpenPGP and certificates, refuses the images for
// which it is asked.
package policy
