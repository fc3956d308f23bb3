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

	"vsync/core"
	"vsync/edge/httpapi/described"
)

// description is openapi.json.
func description(t testing.TB) *described.Document {
	t.Helper()
	d, err := described.Parse(openapi)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Every route is described with its method and the parameters that it takes, and nothing else is.
func TestRoutesAreDescribed(t *testing.T) {
	paths := description(t).Paths
	want := []string{describes, "/v1/health"} // the hosts answer that: their tests hold it against what is described
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
			if _, _, in := strings.Cut(path, "{"+p.Name+"}"); p.In == "path" != in || in && !p.Required {
				t.Errorf("%s: %+v", path, p)
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
	schemas := description(t).Components.Schemas
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
	for name := range schemas {
		if _, is := types[name]; !is && name != "Health" && name != "Database" { // those of the hosts
			t.Errorf("%s is described, and is nothing here", name)
		}
	}
	for _, ref := range strings.Split(string(openapi), `"$ref":"`)[1:] {
		name, _, _ := strings.Cut(strings.TrimPrefix(ref, "#/components/schemas/"), `"`)
		if _, is := schemas[name]; !is {
			t.Errorf("%s is referred to, and not described", name)
		}
	}
}

// Of every route it is described with which statuses it answers, and with which codes: those that statuses has, each where it can be.
func TestStatusesAreDescribed(t *testing.T) {
	only := map[core.Code]string{ // others can be everywhere
		changed: "batch", core.UnknownMarker: "changes", tooLarge: "batch", core.ValueTooLarge: "batch", core.BatchTooLarge: "batch",
	}
	all := maps.Clone(statuses)
	all[core.Internal], all[core.Corrupt] = http.StatusInternalServerError, http.StatusInternalServerError
	paths := description(t).Paths
	for name, route := range routes {
		want := map[string][]string{"200": nil}
		for code, status := range all {
			if only[code] == "" || only[code] == name {
				want[fmt.Sprint(status)] = append(want[fmt.Sprint(status)], string(code))
			}
		}
		responses := paths["/v1/{database}/"+name][strings.ToLower(route.method)].Responses
		for status, codes := range want {
			if got := responses[status].Codes(); codes != nil && !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(codes))) {
				t.Errorf("%s, %s: described are %v, answered %v", name, status, got, codes)
			}
		}
		if got, want := slices.Sorted(maps.Keys(responses)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
			t.Errorf("%s: described are %v, answered %v", name, got, want)
		}
	}
}

// The one header that is taken is described, and pages of other origins may send it.
func TestIdempotencyKeyIsDescribed(t *testing.T) {
	paths := description(t).Paths
	for name, route := range routes {
		operation := paths["/v1/{database}/"+name][strings.ToLower(route.method)]
		got := slices.IndexFunc(operation.Parameters, func(p described.Parameter) bool { return p.In == "header" })
		if route.write != (got >= 0) || got >= 0 && (operation.Parameters[got].Name != idempotencyKey || operation.Parameters[got].Required) {
			t.Errorf("%s: %+v", name, operation.Parameters)
		}
		if got >= 0 && !strings.Contains(operation.Parameters[got].Description, fmt.Sprintf("1 to %d characters", maxKey)) {
			t.Errorf("%s: %q does not say how long it may be", name, operation.Parameters[got].Description)
		}
	}
	h := http.Header{}
	(&API{cfg: Config{Origin: func(*http.Request) bool { return true }}}).allowOrigin(h, &http.Request{Header: http.Header{"Origin": {"https://app.example"}}})
	if allowed := h.Get("Access-Control-Allow-Headers"); !strings.Contains(allowed, idempotencyKey) {
		t.Errorf("allowed are %s", allowed)
	}
}
