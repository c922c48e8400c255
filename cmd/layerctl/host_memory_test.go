// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/host"
)

func TestAvailableMemory(t *testing.T) {
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
		"none": {nil, host.Available("/nonexistent")},
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
			if got := host.Available(root); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

// The default is a quarter of the machine or of the cgroup, and every budget
// comes from it: together they are never more than the collector's limit.
func TestBudgets(t *testing.T) {
	const mib = 1 << 20
	tests := []struct{ available, memory, paths, documents, limit int64 }{
		{16 * mib, 24 * mib, 5 * mib, 2 * mib, 22 * mib},
		{48 * mib, 24 * mib, 5 * mib, 2 * mib, 22 * mib},
		{128 * mib, 32 * mib, 5 * mib, 32 * mib / 12, 22 * mib},
		{192 * mib, 48 * mib, 11 * mib, 4 * mib, 28 * mib},
		{512 * mib, 128 * mib, 54 * mib, 128 * mib / 12, 108 * mib},
		{24 << 30, 256 * mib, 118 * mib, 256 * mib / 12, 236 * mib},
	}
	for _, test := range tests {
		memory := host.Quarter(test.available)
		if memory != test.memory || host.Paths(memory) != test.paths || host.Documents(memory) != test.documents || host.SoftLimit(memory) != test.limit {
			t.Errorf("of %d MiB: got memory %d, paths %d, documents %d, limit %d, want %+v",
				test.available/mib, memory, host.Paths(memory), host.Documents(memory), host.SoftLimit(memory), test)
		}
		// A layer on its way has 13 MiB, the program itself 4.
		if held := host.Paths(memory) + 17*mib; host.SoftLimit(memory) < held {
			t.Errorf("of %d MiB: the collector's limit %d is below the %d that may live", test.available/mib, host.SoftLimit(memory), held)
		}
	}
}

func TestDivideMemory(t *testing.T) {
	most := layerctl.DefaultJobs()
	const mib = 1 << 20
	tests := []struct {
		memory       int64
		jobs, ranges int
		want         host.Share
	}{
		{24 * mib, 0, 0, host.Share{Jobs: 1, Ranges: 0, Buffer: 1 * mib, Windows: 0}},
		{54 * mib, 2, 0, host.Share{Jobs: 2, Ranges: 0, Buffer: 3 * mib / 2, Windows: 3 * mib}},
		{256 * mib, 0, 0, host.Share{Jobs: most, Ranges: 0, Buffer: 4 * mib, Windows: int64(236-18*most) * mib}},
		{256 * mib, 9, 0, host.Share{Jobs: 9, Ranges: 0, Buffer: 3990414, Windows: 79429634}},
		{1, 0, 0, host.Share{Jobs: 1, Ranges: 0, Buffer: 1 * mib, Windows: 0}},
		// Each range takes 4 MiB, and one more is passed on.
		{57 * mib, 0, 4, host.Share{Jobs: 1, Ranges: 4, Buffer: 3 * mib / 2, Windows: 3 * mib / 2}},
		{57 * mib, 0, 16, host.Share{Jobs: 1, Ranges: 4, Buffer: 3 * mib / 2, Windows: 3 * mib / 2}},
		{54 * mib, 2, 4, host.Share{Jobs: 2, Ranges: 1, Buffer: 3 * mib / 2, Windows: 3 * mib}},
		{24 * mib, 0, 4, host.Share{Jobs: 1, Ranges: 1, Buffer: 1 * mib, Windows: 0}},
		{256 * mib, 2, 4, host.Share{Jobs: 2, Ranges: 4, Buffer: 4 * mib, Windows: 160 * mib}},
	}
	for _, test := range tests {
		if got := host.Divide(test.memory, test.jobs, test.ranges); got != test.want {
			t.Errorf("%d MiB, %d jobs, %d ranges: got %+v, want %+v", test.memory/mib, test.jobs, test.ranges, got, test.want)
		}
	}
}
