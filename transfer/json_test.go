// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"encoding/json"
	"testing"
)

func decode(t *testing.T, raw []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatal(err)
	}
}
