// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAvailable(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		want  int64
	}{
		"version 2": {map[string]string{
			"proc/self/cgroup":               "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max":   "max\n",
			"sys/fs/cgroup/a/memory.max":     "67108864\n",
			"sys/fs/cgroup/other/memory.max": "1\n",
		}, 64 << 20},
		"version 1": {map[string]string{
			"proc/self/cgroup": "9:cpu:/x\n4:memory:/c\n",
			"sys/fs/cgroup/memory/c/memory.limit_in_bytes": "33554432\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":   "9223372036854771712\n",
			"sys/fs/cgroup/x/memory.max":                   "1\n",
		}, 32 << 20},
		"in a namespace of its own": {map[string]string{
			"proc/self/cgroup":         "0::/../../x\n",
			"sys/fs/cgroup/memory.max": "50331648\n",
		}, 48 << 20},
		"none": {nil, available("/nonexistent")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range test.files {
				if err := os.MkdirAll(filepath.Join(root, filepath.Dir(file)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := available(root); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestLayersInMemory(t *testing.T) {
	for memory, want := range map[int64]int{24 << 20: 1, 48 << 20: 3, 64 << 20: 4, 256 << 20: 4, 1: 1} {
		if got := layersIn(memory); got != want {
			t.Errorf("%d: %d layers, want %d", memory, got, want)
		}
	}
}
