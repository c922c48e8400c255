// SPDX-License-Identifier: Apache-2.0

package failure

import "os"

// permissionHint is for calls that the operating system does not permit: to root because
// of a container or a security module, to others because they are not root.
func permissionHint() string {
	if os.Geteuid() == 0 {
		return "root may not do this here: is it a container, or does a security module (SELinux, AppArmor) forbid it?"
	}
	return "run it as root, or name a place of your own: --store DIR for the store, 'layerctl unshare' for mounts"
}
