// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"net/url"
	"slices"
	"strings"
)

// minSecret is how many bytes a secret must have to be hidden. A shorter one occurs
// in ordinary text, and what is hidden of that would reveal it.
const minSecret = 4

// hidden is err, with the secrets left out of its text.
type hidden struct {
	err     error
	secrets []string
}

func (h *hidden) Error() string { return Without(h.err.Error(), h.secrets...) }
func (h *hidden) Unwrap() error { return h.err }

// Hide leaves the secrets out of the error's text: a host may repeat in its answer
// what was sent to it.
func Hide(err error, secrets ...string) error {
	if err == nil || len(secrets) == 0 {
		return err
	}
	return &hidden{err, secrets}
}

// Without replaces the secrets in a text by a placeholder: as they are, as [OneLine]
// and URLs escape them, and their beginnings where [OneLine] has cut the text. Secrets
// of less than 4 bytes stay.
func Without(text string, secrets ...string) string {
	var forms, pairs []string
	for _, secret := range secrets {
		if len(secret) < minSecret {
			continue
		}
		escaped := strings.TrimSuffix(OneLine(secret), "…")
		forms = append(forms, secret, escaped, url.QueryEscape(secret), url.PathEscape(secret))
	}
	// The longest first, because one secret may contain another.
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

// withoutStart replaces the beginning of a secret where the text was cut behind it.
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
