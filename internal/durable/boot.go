// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"fmt"
	"os"
	"strings"
)

// BootID tells boots apart, where a process id or a time could come again.
func BootID() (string, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the id of this boot: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}
