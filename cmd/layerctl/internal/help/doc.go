// SPDX-License-Identifier: Apache-2.0

// Package help makes the help texts, man pages and completions of layerctl, from the
// texts in texts, a file for each command, and the flags of the command line.
//
// A file begins with the description, in which an empty line ends a paragraph,
// and a paragraph with an indented line keeps its lines. EXAMPLES begins the
// examples: what each does, and below it, indented, its command line. The
// program's own file has EXIT STATUS, FILES and ENVIRONMENT beside them.
package help
