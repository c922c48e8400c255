// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestConversionTable has a case for each row of the image-spec's tables in
// conversion.md, named after its field, and for what the text says of it. look
// is a path in config.json, where a dot in a key is written as "!"; want is
// the JSON there, or "" for nothing.
func TestConversionTable(t *testing.T) {
	const label = "annotations.org!opencontainers!image!"
	for _, c := range []struct{ field, image, look, want string }{
		// Verbatim fields.
		{"Config.WorkingDir", `"config":{"WorkingDir":"/srv"}`, "process.cwd", `"/srv"`},
		{"Config.WorkingDir is absolute", `"config":{"WorkingDir":"srv/../x"}`, "process.cwd", `"/x"`},
		{"Config.WorkingDir stays inside", `"config":{"WorkingDir":"../../x"}`, "process.cwd", `"/x"`},
		{"Config.WorkingDir missing", `"config":{}`, "process.cwd", `"/"`},
		{"Config.Env", `"config":{"Env":["PATH=/p","A=1","A=2","EMPTY=","NOVALUE"]}`, "process.env", `["PATH=/p","A=1","A=2","EMPTY=","NOVALUE"]`},
		{"Config.Env without a PATH", `"config":{"Env":["A=1"]}`, "process.env", `["A=1","PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]`},
		{"Config.Entrypoint", `"config":{"Entrypoint":["/e","1"],"Cmd":null}`, "process.args", `["/e","1"]`},
		{"Config.Cmd", `"config":{"Cmd":["/c","2"]}`, "process.args", `["/c","2"]`},
		{"Config.Entrypoint and Config.Cmd", `"config":{"Entrypoint":["/e","1"],"Cmd":["/c","2"]}`, "process.args", `["/e","1","/c","2"]`},
		// Annotation fields.
		{"os", `"os":"linux"`, label + "os", `"linux"`},
		{"architecture", `"architecture":"arm"`, label + "architecture", `"arm"`},
		{"variant", `"variant":"v7"`, label + "variant", `"v7"`},
		{"os.version", `"os.version":"10.0"`, label + "os!version", `"10.0"`},
		{"os.features", `"os.features":["a","b"]`, label + "os!features", `"a,b"`},
		{"author", `"author":"me"`, label + "author", `"me"`},
		{"created", `"created":"2024-01-02T03:04:05.6Z"`, label + "created", `"2024-01-02T03:04:05.6Z"`},
		{"Config.Labels", `"config":{"Labels":{"k":"v","empty":""}}`, "annotations", `{"empty":"","k":"v"}`},
		{"Config.Labels win", `"os":"linux","config":{"Labels":{"org.opencontainers.image.os":"mine"}}`, label + "os", `"mine"`},
		{"Config.StopSignal", `"config":{"StopSignal":"SIGRTMIN+3"}`, label + "stopSignal", `"SIGRTMIN+3"`},
		{"nothing to annotate", `"config":{}`, "annotations", ""},
		// Parsed fields.
		{"Config.User numeric", `"config":{"User":"5"}`, "process.user", `{"gid":0,"uid":5}`},
		{"Config.User with a group", `"config":{"User":"5:6"}`, "process.user", `{"gid":6,"uid":5}`},
		{"Config.User by name", `"config":{"User":"web"}`, "process.user", `{"additionalGids":[50],"gid":34,"uid":33}`},
		{"Config.User and group by name", `"config":{"User":"web:staff"}`, "process.user", `{"gid":50,"uid":33}`},
		{"Config.User missing", `"config":{}`, "process.user", `{"gid":0,"uid":0}`},
		// Optional fields.
		{"Config.ExposedPorts", `"config":{"ExposedPorts":{"80/tcp":{},"53/udp":{},"22":{}}}`, label + "exposedPorts", `"22,53/udp,80/tcp"`},
		{"Config.Volumes", `"config":{"Volumes":{"/b":{},"a/../c":{},"/":{}}}`, "mounts.tmpfs", `["/b","/c"]`},
	} {
		t.Run(c.field, func(t *testing.T) {
			o := Options{Volumes: true}
			if !strings.Contains(c.image, "Cmd") {
				o.Args = []string{"/bin/true"}
			}
			s, notes, err := Convert([]byte("{"+c.image+"}"), image(), o)
			if err != nil || len(notes) > 0 {
				t.Fatalf("notes %q, error %v", notes, err)
			}
			if got := lookIn(t, s, c.look); got != c.want {
				t.Errorf("%s is %s, want %s", c.look, got, c.want)
			}
		})
	}
}

// lookIn is the JSON at a path; "mounts.tmpfs" are the places of the volumes.
func lookIn(t *testing.T, s *specs.Spec, path string) string {
	t.Helper()
	if path == "mounts.tmpfs" {
		dirs := []string{}
		for _, m := range s.Mounts[len(kernelMounts(false)):] {
			if m.Type == "tmpfs" {
				dirs = append(dirs, m.Destination)
			}
		}
		return jsonOf(t, dirs)
	}
	var at any
	if err := json.Unmarshal([]byte(jsonOf(t, s)), &at); err != nil {
		t.Fatal(err)
	}
	for _, key := range strings.Split(path, ".") {
		at = at.(map[string]any)[strings.ReplaceAll(key, "!", ".")]
	}
	if at == nil {
		return ""
	}
	return jsonOf(t, at)
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What a caller asks for beside the image's words.
func TestOptions(t *testing.T) {
	config := []byte(`{"config":{"Entrypoint":["/e"],"Cmd":["c"],"Volumes":{"/v":{}}}}`)
	ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	s, _, err := Convert(config, image(), Options{Root: "r", ReadOnly: true, Args: []string{"mine"}, Hostname: "h", IDs: ids})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"root": `{"path":"r","readonly":true}`, "process.args": `["mine"]`, "hostname": `"h"`, "mounts.tmpfs": `[]`,
		"linux.uidMappings": `[{"containerID":0,"hostID":100000,"size":65536}]`, "linux.gidMappings": `[{"containerID":0,"hostID":100000,"size":65536}]`,
	} {
		if got := lookIn(t, s, path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if last := s.Linux.Namespaces[len(s.Linux.Namespaces)-1]; last.Type != specs.UserNamespace {
		t.Errorf("the namespaces are %+v, without one for users", s.Linux.Namespaces)
	}
	s, _, err = Convert(config, image(), Options{OneID: true})
	if err != nil || !reflect.DeepEqual(s.Mounts, kernelMounts(true)) || len(s.Linux.UIDMappings) > 0 {
		t.Errorf("where root alone is mapped: %v, the mounts are %+v", err, s.Mounts)
	}
	s, _, err = Convert(config, image(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := lookIn(t, s, "root"), `{"path":"rootfs"}`; got != want {
		t.Errorf("root is %s, want %s", got, want)
	}
	if reflect.DeepEqual(s.Mounts, kernelMounts(true)) || len(s.Linux.UIDMappings) > 0 {
		t.Error("a user namespace that nobody asked for")
	}
}

// The accounts are the image's, and made by anybody.
func TestHostileAccounts(t *testing.T) {
	for _, c := range []struct{ name, passwd, group, who, want string }{
		{"the first line of a name counts", "a:x:1:1::/:\na:x:0:0::/:\n", "", "a", "1:1 []"},
		{"a name that is a number is the number", "7:x:0:0::/:\n", "", "7", "7:0 []"},
		{"an id that is none", "a:x:root:0::/:\n", "", "a", "error"},
		{"an id that is too big", "a:x:4294967296:0::/:\n", "", "a", "error"},
		{"a negative id", "a:x:-1:0::/:\n", "", "a", "error"},
		{"a user's group that is none", "a:x:1:root::/:\n", "", "a", "error"},
		{"a user's group that is too big", "a:x:1:4294967294::/:\n", "", "1", "error"},
		{"a user's group that is none, and another is wanted", "a:x:1:root::/:\n", "", "a:5", "1:5 []"},
		{"too few fields", "a:x:0\n", "", "a", "error"},
		{"a line longer than is read", "a:x:1:1:" + strings.Repeat("x", maxAccounts+1), "", "a", "error"},
		{"a group twice", "a:x:1:1::/:\n", "g:x:5:a\nh:x:5:a\n", "a", "1:1 [5]"},
		{"a group whose id is none", "a:x:1:1::/:\n", "g:x:five:a\n", "a", "1:1 []"},
		{"a group that is wanted and whose id is none", "a:x:1:1::/:\n", "g:x:five:\n", "a:g", "error"},
		{"an empty group is none", "a:x:1:1::/:\n", "", "a:", "1:1 []"},
		{"only a group", "", "g:x:5:\n", ":g", "0:5 []"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := fstest.MapFS{"etc/passwd": {Data: []byte(c.passwd)}, "etc/group": {Data: []byte(c.group)}}
			u, err := findUser(root, c.who)
			got := fmt.Sprintf("%d:%d %v", u.UID, u.GID, u.AdditionalGids)
			if err != nil {
				got = "error"
			}
			if got != c.want {
				t.Errorf("%s, error %v; want %s", got, err, c.want)
			}
		})
	}
	if _, err := findUser(fstest.MapFS{"etc/passwd/x": {}}, "a"); err == nil {
		t.Error("a directory for /etc/passwd is read")
	}
}
