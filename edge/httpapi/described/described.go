// Package described holds answers of the API against its description, openapi.json, for tests: those of package httpapi, and those
// that ask the hosts.
//
//	path, method ─▶ operation ─▶ status ─▶ media type ─▶ schema ─▶ fields
//
// What stands in an answer and not in the description is a mistake, and so is what is described as always there and is not.
package described

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// A Document is openapi.json, as far as it says what is answered.
type Document struct {
	Paths      map[string]map[string]Operation
	Components struct{ Schemas map[string]Schema }
}

// An Operation is a method of a path.
type Operation struct {
	Parameters  []Parameter
	RequestBody *struct{ Content map[string]Media }
	Responses   map[string]Response // by status
}

// A Parameter is one of the query, of the path, or a header.
type Parameter struct {
	Name, In, Description string
	Required              bool
}

// A Response is what comes with a status.
type Response struct {
	Description string
	Content     map[string]Media
	Headers     map[string]any
}

// A Media is a body.
type Media struct{ Schema Schema }

// A Schema is what a value looks like; one that says nothing is any value.
type Schema struct {
	Ref        string `json:"$ref"`
	Type       string
	Items      *Schema
	Properties map[string]Schema
	Required   []string
}

// Parse reads openapi.json.
func Parse(text []byte) (d *Document, err error) {
	return d, json.Unmarshal(text, &d)
}

// Codes are those that may come with a response: its description begins with them.
func (r Response) Codes() []string {
	codes, _, _ := strings.Cut(r.Description, ":")
	return strings.Split(codes, ", ")
}

// Check says what in an answer is not as it is described; nil if it is. What no route is there for is answered with a Problem.
func (d *Document) Check(method, path string, answer *http.Response, body []byte) error {
	if method == http.MethodHead {
		method, body = http.MethodGet, nil
	}
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%s %s: %d: %s: %.300q", method, path, answer.StatusCode, fmt.Sprintf(format, args...), body)
	}
	operation, is := d.find(path)[strings.ToLower(method)]
	if !is {
		if answer.StatusCode != http.StatusNotFound && answer.StatusCode != http.StatusMethodNotAllowed {
			return wrong("this is not described")
		}
		return nil
	}
	response, is := operation.Responses[fmt.Sprint(answer.StatusCode)]
	if !is {
		return wrong("described are %v", slices.Sorted(maps.Keys(operation.Responses)))
	}
	for name := range response.Headers {
		if answer.Header.Get(name) == "" {
			return wrong("the header %s is missing", name)
		}
	}
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	media, is := response.Content[kind]
	if !is {
		return wrong("described are %v, not %s", slices.Sorted(maps.Keys(response.Content)), kind)
	}
	if body == nil {
		return nil
	}
	if err := d.checkBody(kind, media.Schema, response, body); err != nil {
		return wrong("%v", err)
	}
	return nil
}

// find is what is described for a path.
func (d *Document) find(path string) map[string]Operation {
	path, _, _ = strings.Cut(path, "?")
	if operations, is := d.Paths[path]; is {
		return operations
	}
	parts := strings.SplitN(path, "/", 4) // "", "v1", database, the rest
	if len(parts) < 4 {
		return nil
	}
	return d.Paths["/v1/{database}/"+parts[3]]
}

func (d *Document) checkBody(kind string, schema Schema, response Response, body []byte) error {
	texts := [][]byte{body}
	if kind == "application/x-ndjson" {
		texts = bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
	}
	for _, text := range texts {
		var value any
		if len(body) == 0 && kind == "application/x-ndjson" {
			break
		}
		if err := json.Unmarshal(text, &value); err != nil {
			return err
		}
		if err := d.checkValue("the answer", schema, value); err != nil {
			return err
		}
		problem, _ := value.(map[string]any)
		if code, is := problem["code"].(string); is && strings.HasSuffix(schema.Ref, "/Problem") && !slices.Contains(response.Codes(), code) {
			return fmt.Errorf("described are %v, not %s", response.Codes(), code)
		}
	}
	return nil
}

// checkValue holds a value against a schema.
func (d *Document) checkValue(where string, s Schema, value any) error {
	if name, is := strings.CutPrefix(s.Ref, "#/components/schemas/"); is {
		if s, is = d.Components.Schemas[name]; !is {
			return fmt.Errorf("%s is referred to, and not described", name)
		}
	}
	if got := typeOf(value); s.Type != "" && s.Type != got && (s.Type != "number" || got != "integer") {
		return fmt.Errorf("%s is described as %s, and is %s", where, s.Type, got)
	}
	switch v := value.(type) {
	case []any:
		for i, item := range v {
			if s.Items == nil {
				break
			}
			if err := d.checkValue(fmt.Sprintf("%s[%d]", where, i), *s.Items, item); err != nil {
				return err
			}
		}
	case map[string]any:
		return d.checkFields(where, s, v)
	}
	return nil
}

func (d *Document) checkFields(where string, s Schema, fields map[string]any) error {
	if s.Type != "object" {
		return nil // any value
	}
	for _, name := range s.Required {
		if _, is := fields[name]; !is {
			return fmt.Errorf("%s has no %s, which is described as always there", where, name)
		}
	}
	for name, value := range fields {
		property, is := s.Properties[name]
		if !is {
			return fmt.Errorf("%s has %s, which is not described", where, name)
		}
		if err := d.checkValue(where+"."+name, property, value); err != nil {
			return err
		}
	}
	return nil
}

// typeOf is the type of a value in the words of JSON Schema.
func typeOf(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}
