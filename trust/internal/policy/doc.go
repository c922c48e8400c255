// SPDX-License-Identifier: Apache-2.0

// Package policy reads policies, the files that say which images a machine accepts, and
// finds what they ask of an image:
// https://github.com/containers/image/blob/main/docs/containers-policy.json.5.md.
//
// The format is strict: an unknown member, a member that comes twice, or an invalid value
// makes the whole file invalid. Requirements of the format that this package cannot check,
// by OpenPGP and certificates, refuse all images for which they are asked.
package policy
