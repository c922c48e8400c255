// SPDX-License-Identifier: Apache-2.0

// Package engines has the commands give and take, which give images to the engines of the
// node and take them back, and the parts of other commands that concern engines.
package engines
