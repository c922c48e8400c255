// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"fmt"
	"os"
	"strings"
)

// BootID returns the random id of this boot of the machine. Unlike a process id or a
// time, it never comes again.
func BootID() (string, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the id of this boot: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}
