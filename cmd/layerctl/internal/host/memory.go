// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/unpack"
)

const (
	// mostMemory is the largest default: more memory makes nothing faster.
	mostMemory = 256 << 20
	// LeastMemory is the least value of --max-memory.
	LeastMemory = 24 << 20
	// restMemory is for what the garbage collector cannot keep small: the program
	// itself, of whose file 18 MiB are resident, stacks, and what the kernel keeps for
	// the process.
	restMemory = 20 << 20
	// layerMemory is for the buffers of one layer, among them a zstd window of 8 MiB
	// and the least buffer of HTTP/2, and for garbage that was not collected yet.
	layerMemory = 13 << 20
	// writeMemory is what a layer takes in addition while its files and its journal are
	// written, as measured with zstd.
	writeMemory = 2 << 20
	// programMemory is the heap of the program when it does nothing.
	programMemory = 4 << 20
	// leastPaths is enough for about ten thousand paths. It does not depend on the
	// memory that there is.
	leastPaths = 5 << 20
	// perDocument is how many bytes of memory a byte of a manifest takes, as measured by
	// inspect --json of a manifest of 3 MiB.
	perDocument = 12
	// archiveMemory is what the decompression of an archive takes besides its window.
	archiveMemory = 4 << 20
	// leastBuffer and mostBuffer bound what HTTP/2 may hold of a layer that comes faster
	// than it is read.
	leastBuffer = 1 << 20
	mostBuffer  = 4 << 20
)

// Memory returns how many bytes the process may use by default: a quarter of the memory
// of the machine or the cgroup, within bounds.
func Memory() int64 { return Quarter(Available("/")) }

// Quarter returns [Memory] for a machine with so much memory.
func Quarter(available int64) int64 { return min(mostMemory, max(available/4, LeastMemory)) }

// Paths returns the part of the memory for the paths of an image's layers. The rest is for
// the layers that are fetched, and for garbage that was not collected yet: one layer and
// the program itself have space besides the paths.
func Paths(memory int64) int64 {
	left := memory - restMemory
	return max(min(left/2, left-layerMemory-programMemory), leastPaths)
}

// Documents returns how many bytes the manifests and configs of one command may have.
// Parsing them and printing them again takes twelve times as much memory.
func Documents(memory int64) int64 { return memory / perDocument }

// LimitMemory sets the limit of the garbage collector for a process of so many bytes.
func LimitMemory(memory int64) { debug.SetMemoryLimit(SoftLimit(memory)) }

// SoftLimit returns the limit of the garbage collector. It is never below what the paths,
// one layer and the program itself hold at once: a collector with a lower limit works all
// the time and frees nothing.
func SoftLimit(memory int64) int64 {
	return max(memory-restMemory, Paths(memory)+layerMemory+programMemory)
}

// Share says how the memory is divided.
type Share struct {
	Jobs    int   // layers at a time
	Ranges  int   // connections a layer
	Buffer  int64 // of HTTP/2 for a layer, in bytes
	Windows int64 // for zstd windows above 8 MiB, in bytes, and what paths have of it beside them
}

// Divide divides the memory. First come the jobs that were asked for, if jobs is not 0,
// then as many of the ranges as fit, then as many jobs as are useful. The rest is for zstd
// windows, and up to a quarter of it for buffers.
func Divide(memory int64, jobs, ranges int) Share {
	left := memory - restMemory
	least := int64(max(jobs, 1))
	for ranges > 1 && least*layerShare(ranges) > left {
		ranges--
	}
	each := layerShare(ranges)
	if jobs == 0 {
		jobs = int(min(max(left/each, 1), int64(layerctl.DefaultJobs())))
	}
	left = max(left-int64(jobs)*each, 0)
	more := min(left/4/int64(jobs), mostBuffer-leastBuffer)
	return Share{jobs, ranges, leastBuffer + more, left - int64(jobs)*more}
}

// ArchiveWindow returns the largest zstd window of an archive that is compressed as a
// whole. Such an archive is decompressed before any layer.
func ArchiveWindow(memory int64) int64 { return max(memory-restMemory-archiveMemory, 1) }

// layerShare returns the memory of one layer.
func layerShare(ranges int) int64 { return layerMemory + writeMemory + registry.RangeMemory(ranges) }

// WindowHint returns a hint with the flags that are enough for a layer with such a zstd
// window.
func WindowHint(window int64) string {
	if window > unpack.MaxWindow {
		return fmt.Sprintf("%d MiB is the most that a layer may ask for", unpack.MaxWindow>>20)
	}
	return fmt.Sprintf("--jobs 1 --max-memory %dMiB has room for it", (restMemory+layerMemory+window+1<<20-1)>>20)
}

// Available returns the memory of the machine or, if that is less, of the cgroup (Linux,
// cgroup-v2.rst, "memory.max", and cgroup-v1/memory.rst), in bytes. root is "/", except in
// tests.
func Available(root string) int64 {
	var info unix.Sysinfo_t
	total := int64(mostMemory) * 4
	if unix.Sysinfo(&info) == nil {
		total = int64(uint64(info.Totalram) * uint64(info.Unit))
	}
	self, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return total
	}
	for line := range strings.Lines(string(self)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		dir, name := filepath.Join(root, "sys/fs/cgroup"), "memory.max"
		if parts[1] == "memory" {
			dir, name = filepath.Join(dir, "memory"), "memory.limit_in_bytes"
		} else if parts[1] != "" {
			continue
		}
		total = min(total, smallest(dir, parts[2], name, total))
	}
	return total
}

// smallest returns the least limit of a cgroup and of the cgroups above it.
func smallest(dir, group, name string, limit int64) int64 {
	for group = filepath.Clean("/" + group); ; group = filepath.Dir(group) {
		raw, err := os.ReadFile(filepath.Join(dir, group, name))
		if n, nerr := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64); err == nil && nerr == nil && n > 0 {
			limit = min(limit, n)
		}
		if group == "/" {
			return limit
		}
	}
}
