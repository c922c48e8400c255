// SPDX-License-Identifier: Apache-2.0

// Package pull puts one image from its source into a store: it stages the layers
// that the store lacks, fetches them in parallel, commits them together, and waits
// for layers that another process fetches.
package pull
