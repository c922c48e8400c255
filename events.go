// SPDX-License-Identifier: Apache-2.0

package layerctl

import "github.com/layerctl/layerctl/progress"

// Event is one step of a pull; see [progress.Event].
type Event = progress.Event

// EventKind says what an Event tells; see [progress.Kind].
type EventKind = progress.Kind

// The kinds of events; see package progress.
const (
	LayerPresent  = progress.LayerPresent
	LayerMissing  = progress.LayerMissing
	LayerWaiting  = progress.LayerWaiting
	LayerProgress = progress.LayerProgress
	LayerAgain    = progress.LayerAgain
	LayerDone     = progress.LayerDone
	Committing    = progress.Committing
)
