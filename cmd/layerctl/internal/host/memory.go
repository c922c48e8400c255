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
	// mostMemory is what is used at most where nothing is said: more makes
	// nothing faster.
	mostMemory = 256 << 20
	// LeastMemory is below what one layer takes.
	LeastMemory = 24 << 20
	// restMemory is what is not the garbage collector's to keep small: the
	// program itself, of whose file 18 MiB are resident, stacks, what the kernel
	// keeps for the process.
	restMemory = 20 << 20
	// layerMemory is what the buffers of one layer take, a zstd window of 8 MiB
	// and the least buffer of HTTP/2 among them, and what waits to be collected.
	layerMemory = 13 << 20
	// writeMemory is what a layer takes beside them while its files and its record
	// are written, as measured with zstd.
	writeMemory = 2 << 20
	// programMemory is what the program holds in its heap when it does nothing.
	programMemory = 4 << 20
	// leastPaths is for some ten thousand paths, however little memory there is.
	leastPaths = 5 << 20
	// perDocument is the memory for a byte of a manifest, as measured by inspect
	// --json of one of 3 MiB.
	perDocument = 12
	// archiveMemory is what the decompression of an archive takes beside its
	// window.
	archiveMemory = 4 << 20
	// leastBuffer and mostBuffer are what HTTP/2 may hold of a layer that is not
	// read as fast as it comes.
	leastBuffer = 1 << 20
	mostBuffer  = 4 << 20
)

// Memory is how much the process may use where nothing is said: a quarter of
// what the machine or the cgroup has.
func Memory() int64 { return Quarter(Available("/")) }

// Quarter is what Memory is where so much is there: a quarter, within bounds.
func Quarter(available int64) int64 { return min(mostMemory, max(available/4, LeastMemory)) }

// Paths is the part of the memory that the paths of an image's layers may take.
// The rest is for the layers on their way, and for what the garbage collector
// has not found yet: a layer and the program itself have room beside the paths.
func Paths(memory int64) int64 {
	left := memory - restMemory
	return max(min(left/2, left-layerMemory-programMemory), leastPaths)
}

// Documents is the part in bytes that the manifests and configs of one command
// may have: what is parsed and written again takes a dozen times its text.
func Documents(memory int64) int64 { return memory / perDocument }

// LimitMemory has the garbage collector keep the process below so many bytes.
func LimitMemory(memory int64) { debug.SetMemoryLimit(SoftLimit(memory)) }

// SoftLimit is never below what the paths, a layer and the program itself hold
// at once: a collector whose limit is below what lives works all the time and
// frees nothing.
func SoftLimit(memory int64) int64 {
	return max(memory-restMemory, Paths(memory)+layerMemory+programMemory)
}

// Share is how the memory is divided.
type Share struct {
	Jobs    int   // layers at a time
	Ranges  int   // connections a layer
	Buffer  int64 // of HTTP/2 for a layer, in bytes
	Windows int64 // for zstd windows above 8 MiB, in bytes, and what paths have of it beside them
}

// Divide gives first what was asked for: jobs, where that is not 0, then as
// many of the ranges as fit, then as many jobs as are of use. What is left is
// for windows, up to a quarter of it for buffers.
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

// ArchiveWindow is what an archive may ask for that is compressed as a whole. It
// is decompressed before any layer is.
func ArchiveWindow(memory int64) int64 { return max(memory-restMemory-archiveMemory, 1) }

// layerShare is the memory of one layer.
func layerShare(ranges int) int64 { return layerMemory + writeMemory + registry.RangeMemory(ranges) }

// WindowHint says what would be enough for a layer with such a zstd window.
func WindowHint(window int64) string {
	if window > unpack.MaxWindow {
		return fmt.Sprintf("%d MiB is the most that a layer may ask for", unpack.MaxWindow>>20)
	}
	return fmt.Sprintf("--jobs 1 --max-memory %dMiB has room for it", (restMemory+layerMemory+window+1<<20-1)>>20)
}

// Available is the memory of the machine or, where that is less, of the cgroup
// (Linux, cgroup-v2.rst, "memory.max", and cgroup-v1/memory.rst). root is "/".
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

// smallest is the least limit of a cgroup and of those that it is in.
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
