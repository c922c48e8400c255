// SPDX-License-Identifier: Apache-2.0

package show

// ExitCodes says what the exit codes mean, for help and man pages.
const ExitCodes = `Exit codes:
   0  done                            5  network
   1  any other failure               6  verification failed: digest, size or stored layer
   2  wrong usage                     7  unsafe or malformed image
   3  not found: image, tag, platform 8  disk or filesystem
   4  access denied                   9  busy: in use by another process or a mount
   129, 130, 143  hung up, interrupted, terminated; 141  nobody read the output`
