// SPDX-License-Identifier: Apache-2.0

// Package show prints results of the library, each as text for people and as JSON for
// programs. It decides nothing and fetches nothing: a command passes it a result and a
// writer.
package show
