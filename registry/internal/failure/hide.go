// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"net/url"
	"slices"
	"strings"
)

// minSecret is the least length of what is hidden: less would hide half of
// every text, and so be told by it.
const minSecret = 4

// hidden is err without the secrets that its text may repeat.
type hidden struct {
	err     error
	secrets []string
}

func (h *hidden) Error() string { return Without(h.err.Error(), h.secrets...) }
func (h *hidden) Unwrap() error { return h.err }

// Hide leaves the secrets out of the error's text: what was sent to a host may
// come back in what it says.
func Hide(err error, secrets ...string) error {
	if err == nil || len(secrets) == 0 {
		return err
	}
	return &hidden{err, secrets}
}

// Without is the text without the secrets, as they are, escaped as [OneLine]
// and URLs do, or cut short by [OneLine].
func Without(text string, secrets ...string) string {
	var forms, pairs []string
	for _, secret := range secrets {
		if len(secret) < minSecret {
			continue
		}
		escaped := strings.TrimSuffix(OneLine(secret), "…")
		forms = append(forms, secret, escaped, url.QueryEscape(secret), url.PathEscape(secret))
	}
	// The longest first: one secret may hold another.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	for _, form := range forms {
		pairs = append(pairs, form, placeholder)
	}
	text = strings.NewReplacer(pairs...).Replace(text)
	for _, form := range forms {
		text = withoutStart(text, form)
	}
	return text
}

// placeholder stands where a secret was.
const placeholder = "[hidden]"

// withoutStart leaves out the start of a secret in front of where a text was
// cut.
func withoutStart(text, secret string) string {
	parts := strings.SplitAfter(text, "…")
	for i, part := range parts {
		before, cut := strings.CutSuffix(part, "…")
		for n := min(len(secret), len(before)); cut && n >= minSecret; n-- {
			if strings.HasSuffix(before, secret[:n]) {
				parts[i] = before[:len(before)-n] + placeholder + "…"
				break
			}
		}
	}
	return strings.Join(parts, "")
}
