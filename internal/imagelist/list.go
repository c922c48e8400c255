// SPDX-License-Identifier: Apache-2.0

// Package imagelist reads lists of the images that a node shall have.
//
//	images, err := imagelist.Read(file)
//
// A list is lines of text, or one JSON object. A line is
//
//	REF [OS/ARCH[/VARIANT]] [pin] [into=ENGINE]… [name=NAME:TAG]
//
// in which # begins a comment where a word could begin; so that lists of bare
// references, such as k3s's images.txt, are lists as they are. The object is
// {"images":[{"reference":REF,"platform":…,"pin":true,"into":[…],"name":…}]},
// see docs/list.schema.json.
//
// An image that makes no sense has an error of its own, and the others count.
package imagelist

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// The bounds of a list: k3s's has ten lines, that of a mirror of Kubernetes some
// hundreds.
const (
	MaxSize   = 4 << 20 // bytes
	maxImages = 10_000
	maxLine   = 4 << 10
	maxInto   = 8 // engines of one image
)

// Image is one image of a list.
type Image struct {
	// Number is the line that it stands on, or its place among the images of an
	// object, from 1.
	Number int `json:"-"`
	// Reference is as it was written; it parses unless Err is set.
	Reference string `json:"reference"`
	// Platform is what it is chosen for; "" is what is wanted anyway.
	Platform string `json:"platform,omitempty"`
	// Pin brings it before the others.
	Pin bool `json:"pin,omitempty"`
	// Into are the engines that it is given to, as in --into; none means those
	// that the caller has for all.
	Into []string `json:"into,omitempty"`
	// Name is what the engines call it; "" means by its reference.
	Name string `json:"name,omitempty"`
	// Err says why it cannot be had; all else but Number may be nonsense then.
	Err error `json:"-"`
}

// Key tells images of a list apart: the reference in canonical form and the
// platform.
func (i Image) Key() string {
	ref, err := registry.Parse(i.Reference)
	if err != nil {
		return "\x00" + i.Reference
	}
	p, err := platform.Parse(i.Platform)
	if i.Platform == "" || err != nil {
		return ref.String() + " " + i.Platform
	}
	return ref.String() + " " + platform.Format(p)
}

// Read reads a list. What makes no sense as a whole is an [errkind.Malformed];
// so is text without an image, as a file that was cut is: who wants none says
// so with {"images":[]}.
func Read(r io.Reader) ([]Image, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > MaxSize {
		return nil, errkind.With(errkind.Malformed, fmt.Errorf("the list has more than %d bytes", MaxSize))
	}
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	var list []Image
	if text := bytes.TrimLeft(raw, " \t\r\n"); len(text) > 0 && text[0] == '{' {
		list, err = readObject(text)
	} else {
		list, err = readLines(raw)
	}
	if err != nil {
		return nil, errkind.With(errkind.Malformed, err)
	}
	return distinct(list), nil
}

func readLines(raw []byte) (list []Image, err error) {
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, maxLine)
	number := 1
	for ; lines.Scan(); number++ {
		words := strings.Fields(lines.Text())
		if at := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "#") }); at >= 0 {
			words = words[:at]
		}
		if len(words) == 0 {
			continue
		}
		if len(list) == maxImages {
			return nil, fmt.Errorf("the list has more than %d images", maxImages)
		}
		list = append(list, readLine(number, words))
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d has more than %d bytes", number, maxLine)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("the list names no image; {\"images\":[]} is one that means it")
	}
	return list, nil
}

func readLine(number int, words []string) Image {
	image := Image{Number: number, Reference: words[0]}
	for _, word := range words[1:] {
		key, value, has := strings.Cut(word, "=")
		switch {
		case word == "pin" && !image.Pin:
			image.Pin = true
		case has && key == "into" && value != "":
			image.Into = append(image.Into, value)
		case has && key == "name" && value != "" && image.Name == "":
			image.Name = value
		case !has && word != "pin" && image.Platform == "":
			image.Platform = word
		default:
			image.Err = errkind.With(errkind.Usage, fmt.Errorf("line %d: %q is no word here: a line is REF, a platform, pin, into=ENGINE, name=NAME:TAG", number, word))
			return image
		}
	}
	return image.checked(fmt.Sprintf("line %d", number))
}

func readObject(raw []byte) ([]Image, error) {
	var object struct {
		Schema string            `json:"$schema"`
		Images []json.RawMessage `json:"images"`
	}
	if err := strictly(raw, &object); err != nil {
		return nil, err
	}
	if object.Images == nil {
		return nil, errors.New(`the list has no "images"`)
	}
	if len(object.Images) > maxImages {
		return nil, fmt.Errorf("the list has more than %d images", maxImages)
	}
	list := make([]Image, 0, len(object.Images))
	for i, one := range object.Images {
		image := Image{}
		place := fmt.Sprintf("image %d", i+1)
		if err := strictly(one, &image); err != nil {
			image.Err = fmt.Errorf("%s: %w", place, err)
		}
		image.Number = i + 1
		list = append(list, image.checked(place))
	}
	return list, nil
}

// strictly decodes one JSON value that has only what is known.
func strictly(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the object")
	}
	return nil
}

// checked is the image with what is wrong about it.
func (i Image) checked(place string) Image {
	if i.Err == nil {
		if err := i.check(); err != nil {
			i.Err = fmt.Errorf("%s: %w", place, err)
		}
	}
	i.Err = errkind.With(errkind.Usage, i.Err)
	return i
}

func (i Image) check() error {
	if _, err := registry.Parse(i.Reference); err != nil {
		return err
	}
	if i.Platform != "" {
		if _, err := platform.ParseWanted(i.Platform); err != nil {
			return err
		}
	}
	if len(i.Into) > maxInto {
		return fmt.Errorf("it names more than %d engines", maxInto)
	}
	if slices.Contains(i.Into, "") {
		return errors.New("an engine without a name")
	}
	if i.Name == "" {
		return nil
	}
	name, err := registry.Parse(i.Name)
	if err == nil && (name.Transport() != registry.Docker || name.Tag() == "") {
		err = fmt.Errorf("%q is no name with a tag", i.Name)
	}
	return err
}

// distinct leaves out what was said before, and marks what says something else
// of the same image.
func distinct(list []Image) []Image {
	first := map[string]Image{}
	out := list[:0]
	for _, i := range list {
		if i.Err == nil {
			before, again := first[i.Key()]
			if again && same(before, i) {
				continue
			}
			if again {
				i.Err = errkind.With(errkind.Usage, fmt.Errorf("image %q stands in the list twice, and says different things", i.Reference))
			} else {
				first[i.Key()] = i
			}
		}
		out = append(out, i)
	}
	return out
}

func same(a, b Image) bool {
	return a.Pin == b.Pin && a.Name == b.Name && slices.Equal(a.Into, b.Into)
}
