// SPDX-License-Identifier: Apache-2.0

package show

import (
	"strings"
	"text/template/parse"

	"github.com/layerctl/layerctl/inspect"
)

// entryKeys are the keys that the index alone is enough for, and manifestKeys those that
// manifests are enough for, in lower case.
var (
	entryKeys = keys(`schemaversion reference digest mediatype size annotations host platform named other
		facts name value source warning chosen warnings os architecture variant osversion osfeatures string
		verdict accepted rank reason attestationof descriptor`)
	manifestKeys = keys(`kind artifact artifacttype manifestannotations compressedsize error`)
)

func keys(words string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}

// Needs returns how much must be read for the template, so that a template for a digest
// does not cost a request for each image. In doubt that is everything.
func (t *Template) Needs() inspect.Options {
	n := needs{}
	for _, defined := range t.parsed.Templates() {
		if defined.Tree != nil {
			n.list(defined.Root)
		}
	}
	return inspect.Options{Detail: n.detail}
}

type needs struct{ detail inspect.Detail }

func (n *needs) atLeast(d inspect.Detail) { n.detail = max(n.detail, d) }

func (n *needs) list(l *parse.ListNode) {
	if l == nil {
		return
	}
	for _, node := range l.Nodes {
		switch node := node.(type) {
		case *parse.TextNode, *parse.CommentNode, *parse.BreakNode, *parse.ContinueNode:
		case *parse.ActionNode:
			n.pipe(node.Pipe, false)
		case *parse.RangeNode:
			n.branch(&node.BranchNode)
		case *parse.IfNode:
			n.branch(&node.BranchNode)
		case *parse.WithNode:
			n.branch(&node.BranchNode)
		default:
			n.atLeast(inspect.Configs)
		}
	}
}

// branch is for range, if and with, which only walk a list or test whether a value is set.
func (n *needs) branch(b *parse.BranchNode) {
	n.pipe(b.Pipe, true)
	n.list(b.List)
	n.list(b.ElseList)
}

func (n *needs) pipe(p *parse.PipeNode, walked bool) {
	walked = walked && len(p.Decl) == 0 && len(p.Cmds) == 1 && len(p.Cmds[0].Args) == 1
	for _, command := range p.Cmds {
		for _, arg := range command.Args {
			n.argument(arg, walked)
		}
	}
}

func (n *needs) argument(arg parse.Node, walked bool) {
	switch arg := arg.(type) {
	case *parse.FieldNode:
		n.path(arg.Ident, walked)
	case *parse.PipeNode:
		n.pipe(arg, false)
	case *parse.IdentifierNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode, *parse.NilNode:
	default: // the dot, a variable or the result of a call, which may have anything
		n.atLeast(inspect.Configs)
	}
}

func (n *needs) path(path []string, walked bool) {
	for i, key := range path {
		switch key = strings.ToLower(key); {
		case entryKeys[key]:
		case manifestKeys[key]:
			n.atLeast(inspect.Manifests)
		case key == "manifests" && (walked || i < len(path)-1):
		case key == "layers" && walked, key == "config" && i < len(path)-1:
			n.atLeast(inspect.Manifests)
		default:
			n.atLeast(inspect.Configs)
		}
	}
}
