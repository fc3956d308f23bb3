package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

type described struct {
	Parameters []struct {
		Name, In string
		Required bool
	}
	RequestBody *struct {
		Content map[string]struct {
			Schema struct {
				Ref string `json:"$ref"`
			}
		}
	}
	Responses map[string]struct {
		Content map[string]struct {
			Schema struct {
				Ref string `json:"$ref"`
			}
		}
	}
}

type schema struct {
	Properties map[string]struct {
		Type  string
		Ref   string `json:"$ref"`
		Items *struct{ Type, Ref string }
	}
	Required []string
}

func description(t *testing.T) (paths map[string]map[string]described, schemas map[string]schema) {
	t.Helper()
	var doc struct {
		Paths      map[string]map[string]described
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal(openapi, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Paths, doc.Components.Schemas
}

// Every route is described with its method and the parameters that it takes, and nothing else is.
func TestRoutesAreDescribed(t *testing.T) {
	paths, _ := description(t)
	want := []string{describes}
	for name, route := range routes {
		path := "/v1/{database}/" + name
		want = append(want, path)
		d, is := paths[path][strings.ToLower(route.method)]
		if !is || len(paths[path]) != 1 {
			t.Errorf("%s: expected %s alone, got %v", path, route.method, slices.Collect(maps.Keys(paths[path])))
		}
		var params []string
		for _, p := range d.Parameters {
			if p.In == "query" {
				params = append(params, p.Name)
			}
		}
		if !slices.Equal(params, route.params) {
			t.Errorf("%s: described are %v, taken are %v", path, params, route.params)
		}
		if route.write != (d.RequestBody != nil) {
			t.Errorf("%s: a body is described or not, other than it is", path)
		}
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(paths)); !slices.Equal(got, want) {
		t.Errorf("described are %v, served %v", got, want)
	}
}

// Every field of what is sent and taken is described, and required where it is always there.
func TestFieldsAreDescribed(t *testing.T) {
	_, schemas := description(t)
	types := map[string]any{"Object": object{}, "ObjectPage": objectPage{}, "Version": version{}, "VersionPage": versionPage{}, "Event": event{},
		"EventPage": eventPage{}, "Line": line{}, "Batch": batch{}, "Write": write{}, "Receipt": receipt{}, "Problem": problem{}}
	kinds := map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Uint64: "integer", reflect.Int64: "integer", reflect.Slice: "array"}
	for name, v := range types {
		s, is := schemas[name]
		if !is {
			t.Errorf("%s is not described", name)
			continue
		}
		var fields, required []string
		for field := range reflect.TypeOf(v).Fields() {
			tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			fields = append(fields, tag)
			if options != "omitempty" {
				required = append(required, tag)
			}
			want := kinds[field.Type.Kind()]
			if field.Type == reflect.TypeFor[json.RawMessage]() {
				want = "" // any
			}
			if got := s.Properties[tag].Type; got != want {
				t.Errorf("%s.%s is described as %q, and is %q", name, tag, got, want)
			}
		}
		slices.Sort(fields)
		if got := slices.Sorted(maps.Keys(s.Properties)); !slices.Equal(got, fields) {
			t.Errorf("%s: described are %v, there are %v", name, got, fields)
		}
		if !slices.Equal(s.Required, required) {
			t.Errorf("%s: described as required are %v, always there are %v", name, s.Required, required)
		}
	}
	if len(schemas) != len(types) {
		t.Errorf("described are %v", slices.Collect(maps.Keys(schemas)))
	}
	for _, ref := range strings.Split(string(openapi), `"$ref":"`)[1:] {
		name, _, _ := strings.Cut(strings.TrimPrefix(ref, "#/components/schemas/"), `"`)
		if _, is := schemas[name]; !is {
			t.Errorf("%s is referred to, and not described", name)
		}
	}
}

// Every status that the code can answer with is described for some route.
func TestStatusesAreDescribed(t *testing.T) {
	paths, _ := description(t)
	there := map[string]bool{}
	for _, methods := range paths {
		for _, d := range methods {
			for status := range d.Responses {
				there[status] = true
			}
		}
	}
	answered := map[string]bool{"200": true, fmt.Sprint(http.StatusInternalServerError): true}
	for _, status := range statuses {
		answered[fmt.Sprint(status)] = true
	}
	if !maps.Equal(there, answered) {
		t.Errorf("described are %v, answered %v", slices.Sorted(maps.Keys(there)), slices.Sorted(maps.Keys(answered)))
	}
}
