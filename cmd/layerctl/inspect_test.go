// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/internal/schematest"
	"github.com/layerctl/layerctl/manifest"
)

// recorded are the indexes and manifests in testdata, each served by its own
// digest; most of what they list is not there.
func recorded(t *testing.T) (*registrytest.Registry, map[string]ocispec.Descriptor) {
	t.Helper()
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	found := map[string]ocispec.Descriptor{}
	err := filepath.WalkDir(manifests, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".json") {
			return err
		}
		raw := readFile(t, name)
		var said struct {
			SchemaVersion int
			MediaType     string
		}
		if json.Unmarshal(raw, &said) == nil && said.SchemaVersion == 2 {
			rel, _ := filepath.Rel(manifests, name)
			found[rel] = r.Add(said.MediaType, raw)
			return nil
		}
		r.Add(ocispec.MediaTypeImageConfig, raw)
		return nil
	})
	if err != nil || len(found) < 10 {
		t.Fatalf("%d manifests in testdata: %v", len(found), err)
	}
	return r, found
}

// exactShape is the schema, with no key but those that it describes.
func exactShape(t *testing.T) *jsonschema.Resolved { return exactShapeOf(t, "inspect") }

func exactShapeOf(t *testing.T, name string) *jsonschema.Resolved {
	t.Helper()
	var decoded any
	if err := json.Unmarshal(readFile(t, "../../docs/"+name+".schema.json"), &decoded); err != nil {
		t.Fatal(err)
	}
	var forbidOthers func(any)
	forbidOthers = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if _, ok := v["properties"]; ok {
				v["additionalProperties"] = false
			}
			for _, x := range v {
				forbidOthers(x)
			}
		case []any:
			for _, x := range v {
				forbidOthers(x)
			}
		}
	}
	forbidOthers(decoded)
	exact, err := json.Marshal(decoded)
	if err != nil {
		t.Fatal(err)
	}
	return schematest.Parse(t, exact)
}

// What holds for any manifest: --raw has the digest, --json is of the shape
// that is documented, the tree fits 80 columns and a terminal.
func TestInspectEveryManifest(t *testing.T) {
	r, all := recorded(t)
	schema := exactShape(t)
	for i, name := range slices.Sorted(maps.Keys(all)) {
		desc := all[name]
		if !full() && i%9 != 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			args := []string{"inspect", "--quiet", "--plain-http", r.Host, "--platform", "linux/arm/v7", r.Host + "/image@" + desc.Digest.String()}
			raw := output(t, append(args, "--raw")...)
			if got := digest.FromString(raw); got != desc.Digest {
				t.Errorf("--raw has the digest %s, want %s", got, desc.Digest)
			}
			schematest.Check(t, schema, output(t, append(args, "--json")...))
			checkTree(t, output(t, args...))
			checkTree(t, output(t, append(args, "--layers")...))
			checkTree(t, output(t, append(args, "--configs")...))
		})
	}
}

func checkTree(t *testing.T, tree string) {
	t.Helper()
	for _, line := range strings.Split(tree, "\n") {
		if utf8.RuneCountInString(line) > 80 && !strings.Contains(line, "@sha256:") {
			t.Errorf("more than 80 columns: %q", line)
		}
		if terminal.Escape(line) != line {
			t.Errorf("not printable: %q", line)
		}
	}
}

// Every form of every kind of image is of the one shape.
func TestInspectShapeOfEveryKind(t *testing.T) {
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	schema := exactShape(t)
	for _, c := range peerCases {
		c.add(t, r, c.name)
	}
	chart := r.Add("application/vnd.cncf.helm.config.v1+json", []byte(`{}`))
	r.Add(ocispec.MediaTypeImageManifest, imagetest.JSON(map[string]any{"schemaVersion": 2, "config": chart, "layers": []any{}}), "chart")
	r.Add(ocispec.MediaTypeImageIndex, []byte(`{"schemaVersion":2,"manifests":[]}`), "empty")
	nested := r.Add(ocispec.MediaTypeImageIndex, []byte(`{"schemaVersion":2,"mediaType":"`+ocispec.MediaTypeImageIndex+`","manifests":[]}`))
	r.Add(ocispec.MediaTypeImageIndex, imagetest.JSON(map[string]any{"schemaVersion": 2, "manifests": []any{nested, chart}}), "nested")
	for _, tag := range []string{"chart", "empty", "nested", "oci-index", "oci-image", "docker-list", "docker-image", "attested", "odd-blanks", "no-media-type"} {
		t.Run(tag, func(t *testing.T) {
			schematest.Check(t, schema, output(t, "inspect", "--quiet", "--json", "--plain-http", r.Host, r.Host+"/image:"+tag))
		})
	}
}

func TestInspectRequests(t *testing.T) {
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	addAlpine(t, r, "index")
	addPeerImage(r, manifest.DockerManifest, `{"os":"linux","architecture":"arm","variant":"v6"}`, "single")
	const n = 8
	tests := []struct {
		tag  string
		args []string
		want int
	}{
		{"index", []string{"inspect", "--raw"}, 1},
		{"index", []string{"inspect", "--digest"}, 1},
		{"index", []string{"inspect"}, 3},
		{"index", []string{"inspect", "--layers"}, 1 + n},
		{"index", []string{"inspect", "--manifest-tool"}, 1 + n},
		{"index", []string{"inspect", "--docker"}, 1},
		{"index", []string{"inspect", "--docker", "-v"}, 1 + n},
		{"index", []string{"inspect", "--json"}, 1 + n + n},
		{"index", []string{"inspect", "--configs"}, 1 + n + n},
		{"index", []string{"inspect", "--config"}, 3},
		{"index", []string{"inspect", "--format", "{{.digest}} {{range .manifests}}{{.platform}}{{end}}"}, 1},
		{"index", []string{"inspect", "--format", "{{range .Manifests}}{{.CompressedSize}}{{end}}"}, 1 + n},
		{"index", []string{"inspect", "--format", "{{json .manifests}}"}, 1 + n + n},
		{"index", []string{"inspect", "--format", "{{range .manifests}}{{.}}{{end}}"}, 1 + n + n},
		{"index", []string{"platforms"}, 1},
		{"index", []string{"platforms", "--json"}, 1},
		{"index", []string{"resolve"}, 1},
		{"index", []string{"resolve", "--explain"}, 1},
		{"index", []string{"resolve", "--check"}, 3},
		{"single", []string{"inspect", "--raw"}, 1},
		{"single", []string{"inspect"}, 2},
		{"single", []string{"inspect", "--json"}, 2},
		{"single", []string{"inspect", "--docker"}, 1},
		{"single", []string{"inspect", "--docker", "-v"}, 2},
		{"single", []string{"platforms"}, 2},
		{"single", []string{"resolve"}, 1},
		{"single", []string{"resolve", "--check"}, 2},
	}
	for i, test := range tests {
		if !full() && i%3 != 0 {
			continue
		}
		t.Run(test.tag+" "+strings.Join(test.args, " "), func(t *testing.T) {
			r.Requests()
			t.Setenv("LAYERCTL_STORE", t.TempDir())
			var stdout, stderr bytes.Buffer
			args := slices.Concat([]string{"layerctl"}, test.args, []string{"--platform", "linux/arm/v6", "--plain-http", r.Host, r.Host + "/image:" + test.tag})
			docker := slices.Contains(args, "--docker") // its --verbose is a form of its own
			if !docker {
				args = append(args, "--verbose")
			}
			if code := run(args, nil, &stdout, &stderr); code != exitOK {
				t.Fatalf("exit %d: %s", code, &stderr)
			}
			got := r.Requests()
			if len(got) != test.want {
				t.Errorf("%d requests, want %d: %q", len(got), test.want, got)
			}
			if said := terminal.Count(test.want, "request"); !docker && !strings.Contains(stderr.String(), "layerctl: "+said+"\n") {
				t.Errorf("--verbose does not say %q: %s", said, &stderr)
			}
		})
	}
}

// What is no image is no platform, and a platform is told once.
func TestPlatformsOfAnIndexThatRepeatsItself(t *testing.T) {
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	arm := addPeerImage(r, ocispec.MediaTypeImageManifest, `{"os":"linux","architecture":"arm","variant":"v6"}`)
	unknown := addPeerImage(r, ocispec.MediaTypeImageManifest, `{"os":"unknown","architecture":"unknown"}`)
	windows := addPeerImage(r, ocispec.MediaTypeImageManifest, `{"os":"windows","architecture":"amd64","os.version":"10.0.17763.1"}`)
	nested := r.Add(ocispec.MediaTypeImageIndex, imagetest.JSON(map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": []any{windows}}))
	r.Add(ocispec.MediaTypeImageIndex, imagetest.JSON(map[string]any{"schemaVersion": 2, "manifests": []any{arm, unknown, nested, arm}}), "index")
	got := output(t, "platforms", "--plain-http", r.Host, r.Host+"/image:index")
	if want := "linux/arm/v6\nwindows(10.0.17763.1)/amd64\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestInspectDigestIsAHead(t *testing.T) {
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	addAlpine(t, r, "index")
	output(t, "inspect", "--digest", "--plain-http", r.Host, r.Host+"/image:index")
	if got, want := r.Requests(), []string{"HEAD manifests/index"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestInspectConfigIsExact(t *testing.T) {
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	addAlpine(t, r, "index")
	got := output(t, "inspect", "--config", "--platform", "linux/arm64", "--plain-http", r.Host, r.Host+"/image:index")
	if want := readFile(t, manifests+"/alpine-3.20/config-arm64-v8.json"); got != string(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestInspectFormat(t *testing.T) {
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	addAttested(t, r, "index")
	var index ocispec.Index
	if err := json.Unmarshal([]byte(output(t, "inspect", "--raw", "--plain-http", r.Host, r.Host+"/image:index")), &index); err != nil {
		t.Fatal(err)
	}
	// Large enough for a float to be printed as one.
	large := ocispec.Descriptor{MediaType: "application/x-large", Digest: digest.FromString("large"), Size: 3_000_000}
	index.MediaType, index.Manifests = ocispec.MediaTypeImageIndex, append(index.Manifests, large)
	r.Add(ocispec.MediaTypeImageIndex, imagetest.JSON(index), "index")
	tests := []struct{ template, want string }{
		{`{{.digest}}`, ""},
		{`{{.Digest}}`, ""},
		{`{{.kind | upper}} {{.schemaVersion}}`, "INDEX 1"},
		{`{{range .manifests}}{{if eq .kind "image"}}{{.platform.os}}/{{.platform.architecture}} {{end}}{{end}}`, "linux/amd64 linux/arm64 "},
		{`{{range .Manifests}}{{if eq .Kind "image"}}{{.Platform}} {{end}}{{end}}`, "linux/amd64 linux/arm64/v8 "},
		{`{{json .annotations}}`, `{"top":"lost by docker"}`},
		{`{{json (index .manifests 0).annotations}}`, `{"com.example.<who>":"a & b"}`},
		{`{{(index .manifests 0).document.schemaVersion}}`, "2"},
		{`{{(index .manifests 0).config.document.created}}`, "2018-05-01T10:00:00.5Z"},
		{`{{(index (index .manifests 0).layers 1).size}}`, "47"},
		{`{{.schemaVersion}} {{(index .manifests 0).layers | len}} {{range .manifests}}{{if eq .kind "artifact"}}{{.size}}{{end}}{{end}}`, "1 2 3000000"},
		{`{{join (split "a,b" ",") "-"}} {{title "word"}} {{truncate "abcdef" 3}}|{{pad "x" 1 2}}|`, "a-b Word abc| x  |"},
		{`{{with .annotations}}{{.top}}{{end}}`, "lost by docker"},
	}
	for _, test := range tests {
		t.Run(test.template, func(t *testing.T) {
			args := []string{"inspect", "--quiet", "--platform", "linux/arm64", "--plain-http", r.Host, r.Host + "/image:index"}
			if test.want == "" {
				test.want = strings.TrimSpace(output(t, append(args, "--digest")...))
			}
			if got := output(t, append(args, "--format", test.template)...); got != test.want+"\n" {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Whatever the author of an image wrote, it reaches the terminal as text, in
// one place, and within the lines.
func TestInspectHostileText(t *testing.T) {
	const evil = "\x1b]0;owned\a\r\nmanifest sha256:0000\u202e\u009b31m\x7f"
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	layer := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString("layer"), Size: 1 << 62, Annotations: map[string]string{evil: evil}}
	config := r.Add(ocispec.MediaTypeImageConfig, imagetest.JSON(map[string]any{
		"os": evil, "architecture": evil, "variant": evil, "created": evil, "rootfs": map[string]any{"type": "layers", "diff_ids": []digest.Digest{digest.FromString(evil)}},
	}))
	m := r.Add(ocispec.MediaTypeImageManifest, imagetest.JSON(map[string]any{
		"schemaVersion": 2, "config": config, "layers": []any{layer}, "annotations": map[string]string{evil: strings.Repeat(evil, 1000), ocispec.AnnotationCreated: evil},
	}), "single")
	m.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64", Variant: evil, OSVersion: evil, OSFeatures: []string{evil}}
	m.Annotations = map[string]string{evil: evil, "vnd.docker.reference.type": "x" + evil}
	attestation := m
	attestation.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": evil}
	thing := r.Add("x/"+evil, []byte(evil))
	thing.MediaType, thing.ArtifactType = "x/"+evil, evil
	r.Add(ocispec.MediaTypeImageIndex, imagetest.JSON(map[string]any{
		"schemaVersion": 2, "manifests": []any{m, attestation, thing}, "annotations": map[string]string{evil: evil},
	}), "index")
	for i, tag := range []string{"index", "single"} {
		for j, args := range [][]string{{"inspect"}, {"inspect", "--configs"}, {"inspect", "--manifest-tool"}, {"resolve", "--explain"}, {"platforms"}} {
			if !full() && i != j%2 {
				continue
			}
			t.Run(tag+" "+strings.Join(args, " "), func(t *testing.T) {
				var stdout, stderr bytes.Buffer
				run(slices.Concat([]string{"layerctl"}, args, []string{"--plain-http", r.Host, r.Host + "/image:" + tag}), nil, &stdout, &stderr)
				for _, line := range strings.Split(stdout.String()+stderr.String(), "\n") {
					if terminal.Escape(line) != line || strings.HasPrefix(line, "manifest sha256:0000") {
						t.Errorf("it got through: %q", line)
					}
				}
				if args[0] == "inspect" && len(args) == 1 {
					checkTree(t, stdout.String())
				}
			})
		}
	}
}
