// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// What no index, manifest or config may be, whatever it is called.
func TestStrictJSON(t *testing.T) {
	entry := desc(ocispec.MediaTypeImageManifest, digestB, 7)
	with := func(member string) string { return strings.TrimSuffix(indexOf(entry), "}") + "," + member + "}" }
	tests := []struct {
		name, raw string
		want      error
		says      string
	}{
		{"sound", indexOf(entry), nil, ""},
		{"an unknown field", with(`"x":{"y":[1,{"z":null}]}`), nil, ""},
		{"blanks around", "\n " + indexOf(entry) + " \n", nil, ""},
		{"a key twice", with(`"schemaVersion":2`), ErrMalformed, `"schemaVersion" twice`},
		{"a key twice, escaped", with(`"schema\u0056ersion":2`), ErrMalformed, `"schemaVersion" twice`},
		{"an unknown key twice", with(`"x":1,"x":1`), ErrMalformed, `"x" twice`},
		{"a key twice deep in what is unknown", with(`"x":[[{"y":{"a":1,"a":2}}]]`), ErrMalformed, `"a" twice`},
		{"an annotation twice", with(`"annotations":{"a":"1","a":"2"}`), ErrMalformed, `"a" twice`},
		{"annotations that differ in case", with(`"annotations":{"a":"1","A":"2"}`), nil, ""},
		{"a case variant beside", with(`"Manifests":[]`), ErrMalformed, `"Manifests", which is to be "manifests"`},
		{"a case variant of another kind's key", with(`"LAYERS":[]`), ErrMalformed, `"LAYERS"`},
		{"a case variant by Unicode", with(`"manife\u017ft\u017f":[]`), ErrMalformed, "which is to be"},
		{"a case variant in a descriptor", indexOf(strings.Replace(entry, `"size"`, `"Size"`, 1)), ErrMalformed, `"Size", which is to be "size"`},
		{"a case variant in a platform", indexOf(desc(ocispec.MediaTypeImageManifest, digestB, 7, `,"platform":{"OS":"linux"}`)), ErrMalformed, `"OS", which is to be "os"`},
		{"trailing object", indexOf(entry) + "{}", ErrMalformed, "after its JSON"},
		{"trailing rubbish", indexOf(entry) + "x", ErrMalformed, "after its JSON"},
		{"trailing zero byte", indexOf(entry) + "\x00", ErrMalformed, "after its JSON"},
		{"no UTF-8", with("\"x\":\"\xff\""), ErrMalformed, "UTF-8"},
		{"byte order mark", "\ufeff" + indexOf(entry), ErrMalformed, "no JSON"},
		{"nothing", "", ErrMalformed, "no JSON"},
		{"cut off", strings.TrimSuffix(indexOf(entry), "}"), ErrMalformed, "EOF"},
		{"null", "null", ErrMalformed, "no JSON object"},
		{"an array", "[" + indexOf(entry) + "]", ErrMalformed, "no JSON object"},
		{"HTML", "<html>", ErrMalformed, "no JSON"},
		{"a number for a string", with(`"annotations":{"a":1}`), ErrMalformed, "annotations"},
		{"deep", with(`"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100)), ErrMalformed, "deeper than 64"},
		{"very deep", with(`"x":` + strings.Repeat("[", 1<<20)), ErrMalformed, "deeper than 64"},
		{"4 MiB and a byte", indexOf(entry) + strings.Repeat(" ", MaxManifestSize+1-len(indexOf(entry))), ErrMalformed, "larger than 4194304"},
		{"4 MiB", indexOf(entry) + strings.Repeat(" ", MaxManifestSize-len(indexOf(entry))), nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseIndex([]byte(tt.raw), "")
			refused(t, err, tt.want, tt.says)
		})
	}
}

func TestParseIndexRefuses(t *testing.T) {
	m := ocispec.MediaTypeImageManifest
	tests := []struct {
		name, raw, mediaType string
		want                 error
		says                 string
	}{
		{"entries to the limit", indexOf(many(MaxEntries, m)...), "", nil, ""},
		{"an entry more", indexOf(many(MaxEntries+1, m)...), "", ErrMalformed, "more than 1000"},
		{"a million entries of nothing", indexOf(strings.Repeat("{},", 1_000_000) + "{}"), "", ErrMalformed, "more than 1000"},
		{"no entries", indexOf(), "", nil, ""},
		{"negative size", indexOf(desc(m, digestA, -1)), "", ErrMalformed, "negative"},
		{"one digest, two sizes", indexOf(desc(m, digestA, 7), desc(m, digestA, 8)), "", ErrMalformed, "7 bytes and 8"},
		{"one digest, one size", indexOf(desc(m, digestA, 7), desc(m, digestA, 7)), "", nil, ""},
		{"no digest", indexOf(`{"mediaType":"` + m + `","size":7}`), "", ErrMalformed, "neither sha256 nor sha512"},
		{"no media type of an entry", indexOf(desc("", digestA, 7)), "", ErrMalformed, "no media type"},
		{"a size that is no integer", indexOf(`{"mediaType":"` + m + `","digest":"` + digestA + `","size":7.5}`), "", ErrMalformed, "size"},
		{"a size beyond all bounds", indexOf(`{"mediaType":"` + m + `","digest":"` + digestA + `","size":9223372036854775808}`), "", ErrMalformed, "size"},
		{"CVE-2021-41190, layers", `{"schemaVersion":2,"manifests":[],"layers":[]}`, "", ErrMalformed, "CVE-2021-41190"},
		{"CVE-2021-41190, config", `{"schemaVersion":2,"manifests":[],"config":{}}`, "", ErrMalformed, "CVE-2021-41190"},
		{"CVE-2021-41190, null layers", `{"schemaVersion":2,"manifests":[],"layers":null}`, "", ErrMalformed, "CVE-2021-41190"},
		{"CVE-2021-41190, schema 1", `{"schemaVersion":2,"manifests":[],"fsLayers":[]}`, "", ErrMalformed, "CVE-2021-41190"},
		{"neither", `{"schemaVersion":2}`, "", ErrMalformed, "neither"},
		{"no schemaVersion", `{"manifests":[]}`, "", ErrMalformed, "schemaVersion 0"},
		{"schemaVersion 3", `{"schemaVersion":3,"manifests":[]}`, "", ErrMalformed, "schemaVersion 3"},
		{"schema 1", `{"schemaVersion":1,"name":"x","fsLayers":[],"history":[]}`, "", ErrUnsupported, "schema 1"},
		{"schema 1 by what it is served as", indexOf(), dockerSchema1Signed, ErrUnsupported, "schema 1"},
		{"OCI's artifact manifest", `{"mediaType":"` + ociArtifactManifest + `","blobs":[]}`, "", ErrUnsupported, "OCI gave up"},
		{"a manifest", imageOf(), "", ErrMalformed, "is a manifest"},
		{"served as a manifest", indexOf(), m, ErrMalformed, "other kind"},
		{"body and Content-Type disagree", `{"schemaVersion":2,"mediaType":"` + DockerManifestList + `","manifests":[]}`, ocispec.MediaTypeImageManifest, ErrMalformed, "calls itself"},
		{"body and Content-Type agree", `{"schemaVersion":2,"mediaType":"` + DockerManifestList + `","manifests":[]}`, DockerManifestList + "; charset=utf-8", nil, ""},
		{"a Content-Type of any file", indexOf(), "application/json", nil, ""},
		{"an unknown media type", indexOf(), "application/x-\x1b[2J", ErrUnsupported, "no index and no manifest"},
		{"subject with a bad digest", strings.TrimSuffix(indexOf(), "}") + `,"subject":` + desc(m, "sha256:x", 7) + `}`, "", ErrMalformed, "subject"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseIndex([]byte(tt.raw), tt.mediaType)
			refused(t, err, tt.want, tt.says)
		})
	}
}

func many(n int, mediaType string) []string {
	entries := make([]string, n)
	for i := range entries {
		entries[i] = desc(mediaType, digest.FromString(fmt.Sprint(i)).String(), 7)
	}
	return entries
}

func TestParseDigest(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 8)
	for _, s := range []string{"sha256:" + hex[:64], "sha512:" + hex} {
		if d, err := parseDigest(s); err != nil || string(d) != s {
			t.Errorf("%s: got %s, %v", s, d, err)
		}
	}
	for _, s := range []string{
		"", "sha256", "sha256:", ":" + hex[:64], "sha256:../../" + hex[:58], "sha256:" + strings.ToUpper(hex[:64]), "SHA256:" + hex[:64],
		"sha256:" + hex[:63], "sha256:" + hex[:65], "sha512:" + hex[:64], "sha384:" + hex[:96], "md5:" + hex[:32],
		"sha256:" + hex[:62] + "\n\x1b", "sha256+b64:" + hex[:64], hex[:64], "sha256:" + strings.Repeat("x", 1<<20),
	} {
		d, err := parseDigest(s)
		if d != "" {
			t.Errorf("%.80q: got %s", s, d)
		}
		refused(t, err, ErrMalformed, "digest")
		if len(err.Error()) > 300 {
			t.Errorf("%.80q: an error of %d bytes", s, len(err.Error()))
		}
	}
}

func TestParseImageRefuses(t *testing.T) {
	gzip := ocispec.MediaTypeImageLayerGzip
	withConfig := func(c string) string {
		return `{"schemaVersion":2,"config":` + c + `,"layers":[` + layer(digestB, 7) + `]}`
	}
	tests := []struct {
		name, raw string
		want      error
		says      string
	}{
		{"sound", imageOf(layer(digestB, 7)), nil, ""},
		{"no layers", imageOf(), nil, ""},
		{"layers to the limit", imageOf(many(MaxLayers, gzip)...), nil, ""},
		{"a layer more", imageOf(many(MaxLayers+1, gzip)...), ErrMalformed, "501 layers"},
		{"very many", imageOf(many(MaxEntries+1, gzip)...), ErrMalformed, "more than 1000"},
		{"a layer of unknown type", imageOf(layer(digestB, 7), desc("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", digestA, 7)), ErrUnsupported, "layer 1"},
		{"negative size", imageOf(layer(digestB, -1)), ErrMalformed, "layer 0: size -1"},
		{"one digest, two sizes", imageOf(layer(digestB, 7), layer(digestB, 8)), ErrMalformed, "7 bytes and 8"},
		{"one digest, two sizes, config and layer", imageOf(layer(digestA, 8)), ErrMalformed, "7 bytes and 8"},
		{"a layer twice", imageOf(layer(digestB, 7), layer(digestB, 7)), nil, ""},
		{"no config", `{"schemaVersion":2,"layers":[]}`, ErrMalformed, "config"},
		{"null config", withConfig("null"), ErrMalformed, "config"},
		{"a config too large", withConfig(desc(ocispec.MediaTypeImageConfig, digestA, MaxConfigSize+1)), ErrMalformed, "larger than 8388608"},
		{"a config of 2016", withConfig(desc("application/octet-stream", digestA, 7)), nil, ""},
		{"a config of unknown type", withConfig(desc("application/vnd.acme.rocket.config", digestA, 7)), ErrUnsupported, `artifact ("application/vnd.acme.rocket.config")`},
		{"an index", indexOf(), ErrMalformed, "is an index"},
		{"embedded data that is the blob", imageOf(desc(gzip, digest.FromString("data").String(), 4, `,"data":"ZGF0YQ=="`)), nil, ""},
		{"embedded data under sha512", imageOf(desc(gzip, digest.SHA512.FromString("data").String(), 4, `,"data":"ZGF0YQ=="`)), nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseImage([]byte(tt.raw), "")
			refused(t, err, tt.want, tt.says)
		})
	}
}

func TestParseConfigRefuses(t *testing.T) {
	rootfs := func(diffIDs string) string { return `{"rootfs":{"type":"layers","diff_ids":` + diffIDs + `}}` }
	list := func(n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(`"`+digestA+`",`, n), ",") + "]"
	}
	tests := []struct {
		name, raw string
		want      error
		says      string
	}{
		{"sound", rootfs(list(2)), nil, ""},
		{"no diffIDs", rootfs("null"), nil, ""},
		{"whatever a runtime makes of it", `{"config":{"User":"../../x","Env":7,"Labels":{"a":1}},"history":"?",` + rootfs(list(1))[1:], nil, ""},
		{"created at no time", `{"created":"yesterday",` + rootfs(list(1))[1:], nil, ""},
		{"no rootfs", `{"os":"linux"}`, ErrMalformed, "no rootfs"},
		{"rootfs of another type", `{"rootfs":{"type":"squashfs\u001b"}}`, ErrMalformed, "rootfs type"},
		{"a bad diffID", rootfs(`["sha256:x"]`), ErrMalformed, "diffID 0"},
		{"diffIDs to the limit", rootfs(list(MaxLayers)), nil, ""},
		{"a diffID more", rootfs(list(MaxLayers + 1)), ErrMalformed, "501 diffIDs"},
		{"rootfs twice", `{"rootfs":{},` + rootfs(list(1))[1:], ErrMalformed, "twice"},
		{"diff_ids in another case", `{"rootfs":{"type":"layers","Diff_IDs":[]}}`, ErrMalformed, "which is to be"},
		{"a label twice", `{"config":{"Labels":{"a":"1","a":"2"}},` + rootfs(list(1))[1:], ErrMalformed, "twice"},
		{"trailing data", rootfs(list(1)) + "1", ErrMalformed, "after its JSON"},
		{"8 MiB and a byte", rootfs(list(1)) + strings.Repeat(" ", MaxConfigSize), ErrMalformed, "larger than 8388608"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseConfig([]byte(tt.raw))
			refused(t, err, tt.want, tt.says)
		})
	}
}

func TestPairLayersRefuses(t *testing.T) {
	parse := func(image string) *Image {
		m, err := ParseImage([]byte(image), "")
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	tests := []struct {
		name    string
		image   string
		diffIDs []digest.Digest
		want    error
		says    string
	}{
		{"none", imageOf(), nil, nil, ""},
		{"two", imageOf(layer(digestA, 7), layer(digestB, 7)), []digest.Digest{digestB, digestA}, nil, ""},
		{"a layer without diffID", imageOf(layer(digestA, 7), layer(digestB, 7)), []digest.Digest{digestB}, ErrMalformed, "2 layers, the config 1"},
		{"a diffID without layer", imageOf(), []digest.Digest{digestB}, ErrMalformed, "0 layers, the config 1"},
		{"one blob, one layer, twice", imageOf(layer(digestA, 7), layer(digestA, 7)), []digest.Digest{digestB, digestB}, nil, ""},
		{"one blob, two layers", imageOf(layer(digestA, 7), layer(digestA, 7)), []digest.Digest{digestA, digestB}, ErrMalformed, "the diffIDs"},
		{"two blobs, one layer", imageOf(layer(digestA, 7), layer(digestB, 7)), []digest.Digest{digestB, digestB}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			layers, err := PairLayers(parse(tt.image), &Config{DiffIDs: tt.diffIDs})
			refused(t, err, tt.want, tt.says)
			for i, l := range layers {
				if l.DiffID != tt.diffIDs[i] {
					t.Errorf("layer %d: got %s, want %s", i, l.DiffID, tt.diffIDs[i])
				}
			}
		})
	}
}

// What the manifest claims of sizes is added up without running over.
func TestSizeSaturates(t *testing.T) {
	huge := fmt.Sprint(int64(math.MaxInt64))
	raw := imageOf(layer(digestB, 7), layer(digestB, 7), `{"mediaType":"`+ocispec.MediaTypeImageLayer+`","digest":"sha256:`+strings.Repeat("c", 64)+`","size":`+huge+`}`)
	m, err := ParseImage([]byte(raw), "")
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Size(); got != math.MaxInt64 {
		t.Errorf("got %d", got)
	}
	if m, err = ParseImage([]byte(imageOf(layer(digestB, 7), layer(digestB, 7))), ""); err != nil || m.Size() != 7 {
		t.Errorf("a repeated layer: got %d, %v", m.Size(), err)
	}
}

// Data is used where it is what the descriptor says, and else not there.
func TestEmbeddedData(t *testing.T) {
	right := digest.FromString("data")
	for name, c := range map[string]struct {
		digest digest.Digest
		size   int
		kept   bool
	}{
		"the blob": {right, 4, true}, "of sha512": {digest.SHA512.FromString("data"), 4, true},
		"something else": {digest.FromString("date"), 4, false}, "of another size": {right, 5, false},
	} {
		m, err := ParseImage([]byte(imageOf(desc(ocispec.MediaTypeImageLayerGzip, c.digest.String(), c.size, `,"data":"ZGF0YQ=="`))), "")
		if err != nil || (string(m.Layers[0].Data) == "data") != c.kept || !c.kept && m.Layers[0].Data != nil {
			t.Errorf("%s: got %+v, %v", name, m, err)
		}
	}
}

// urls say where the author has a layer fetched from; for a config nobody does
// that, and for a layer somebody may.
func TestURLsOfLayersOnly(t *testing.T) {
	const one = `,"urls":["http://169.254.169.254/"]`
	many := `,"urls":["` + strings.Repeat("x", maxURL+1) + `"` + strings.Repeat(`,"https://a.example/b"`, 40) + `]`
	raw := `{"schemaVersion":2,"config":` + desc(ocispec.MediaTypeImageConfig, digestA, 7, one) + `,"layers":[` +
		desc(DockerForeignGzip, digestB, 7, one) + "," + layer(digestB, 7, many) + `]}`
	m, err := ParseImage([]byte(raw), "")
	if err != nil {
		t.Fatal(err)
	}
	if m.Config.URLs != nil || !IsForeign(m.Layers[0].MediaType) || !slices.Equal(m.Layers[0].URLs, []string{"http://169.254.169.254/"}) {
		t.Errorf("got %+v", m)
	}
	if got := m.Layers[1].URLs; len(got) != maxURLs-1 || got[0] != "https://a.example/b" {
		t.Errorf("of 41 there are %d", len(got))
	}
}

func TestArtifactErrorIsUnsupported(t *testing.T) {
	_, err := ParseImage([]byte(`{"schemaVersion":2,"config":`+desc("application/vnd.cncf.helm.config.v1+json", digestA, 7)+`,"layers":[]}`), "")
	var artifact *ArtifactError
	if !errors.As(err, &artifact) || artifact.Name != "Helm chart" {
		t.Errorf("got %v", err)
	}
	refused(t, err, ErrUnsupported, "Helm chart")
}
