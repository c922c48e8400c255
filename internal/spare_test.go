// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"testing"

	"github.com/layerctl/layerctl/internal/spare"
)

func TestListIsBounded(t *testing.T) {
	list := make(spare.List[int], 2)
	for i := range 3 {
		list.Keep(i)
	}
	for want := range 2 {
		if got, ok := list.Take(); !ok || got != want {
			t.Errorf("Take = %d, %v, want %d", got, ok, want)
		}
	}
	if got, ok := list.Take(); ok {
		t.Errorf("Take of an empty list = %d", got)
	}
	var none spare.List[int]
	none.Keep(1)
	if _, ok := none.Take(); ok {
		t.Error("a nil list kept something")
	}
}
