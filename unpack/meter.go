// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"strings"

	"github.com/layerctl/layerctl/internal/layerdisk"
)

// meter enforces the limits of a layer.
type meter struct {
	limits   Limits
	disk     layerdisk.Disk
	root     int
	entries  int64
	recorded int64
	read     int64 // bytes that Read keeps until it returns
	paths    *Paths
	holes    int64 // bytes of holes in sparse files
	spent    int64 // bytes written since the free space was last checked; spaceBytes at the start
}

const (
	spaceBytes = 16 << 20 // written at most between two checks of the free space
	entryCost  = 4096     // what an entry takes at least: an inode and a share of a directory
)

func (m *meter) entry(name string) error {
	m.entries++
	if m.entries > m.limits.Entries {
		return &LimitError{Limit: "entries", Max: m.limits.Entries, Entry: name}
	}
	return m.space(entryCost)
}

func (m *meter) depth(path, name string) error {
	if strings.Count(path, "/") >= m.limits.Depth {
		return &LimitError{Limit: "depth", Max: int64(m.limits.Depth), Entry: name}
	}
	return nil
}

// fits checks the limits for a file of size bytes, before it is created. data of
// them stand in the tar, the others are holes.
func (m *meter) fits(name string, size, data, tarSize int64) error {
	if size > m.limits.Bytes-tarSize-m.holes {
		return &LimitError{Limit: "bytes", Max: m.limits.Bytes, Entry: name}
	}
	m.holes += size - data
	if data >= spaceBytes {
		return m.free(data)
	}
	return nil
}

// space checks the free space before n bytes are written, now and then.
func (m *meter) space(n int64) error {
	m.spent += n
	if m.spent < spaceBytes {
		return nil
	}
	return m.free(n)
}

func (m *meter) free(n int64) error {
	m.spent = 0
	free, err := m.disk.Free(m.root)
	if err != nil {
		return failed("statfs", ".", err)
	}
	if free-m.limits.Reserve < n {
		return &SpaceError{Needed: n, Free: free, Reserve: m.limits.Reserve}
	}
	return nil
}

// keep accounts for a path that is kept in memory.
func (m *meter) keep(path string, more int) error {
	const overhead = 160 // of a map's entry, as measured
	n := int64(len(path) + more + overhead)
	if m.recorded+m.read+n > m.limits.Recorded {
		return &LimitError{Limit: "recorded", Max: m.limits.Recorded, Entry: path}
	}
	if !m.paths.take(n) {
		return &LimitError{Limit: "recorded", Max: m.paths.memory.Size(), Entry: path}
	}
	m.recorded += n
	return nil
}

// keepBytes accounts for memory that [Read] keeps.
func (m *meter) keepBytes(n int64) error {
	if m.recorded+m.read+n > m.limits.Recorded || !m.paths.Take(n) {
		return &LimitError{Limit: "recorded", Max: m.limits.Recorded}
	}
	m.read += n
	return nil
}
