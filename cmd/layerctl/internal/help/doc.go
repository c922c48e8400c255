// SPDX-License-Identifier: Apache-2.0

// Package help is what the command says of itself: the texts in texts, one file
// a command, joined with the flags that the command line is parsed by.
//
// A file begins with the description, in which an empty line ends a paragraph,
// and a paragraph with an indented line keeps its lines. EXAMPLES begins the
// examples: what each does, and below it, indented, its command line. The
// program's own file has EXIT STATUS, FILES and ENVIRONMENT beside them.
package help
