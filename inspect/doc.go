// SPDX-License-Identifier: Apache-2.0

// Package inspect says what a reference holds and which image of it a machine would
// pull, in one structure for an index, an image and an artifact.
//
//	found, err := inspect.Read(ctx, source, wanted, inspect.Options{Detail: inspect.Configs})
//
// # Not promised
//
// Strings are whatever their author wrote; quote them to print them.
package inspect
