package described

import (
	"net/http"
	"testing"
)

const document = `{
  "paths": {"/v1/{database}/object": {"get": {"responses": {
    "200": {"description": "done", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Object"}}}},
    "404": {"description": "NOT_FOUND: look elsewhere", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
  }}}},
  "components": {"schemas": {
    "Object": {"type": "object", "properties": {"id": {"type": "string"}, "value": {}, "list": {"type": "array", "items": {"type": "integer"}}}, "required": ["id"]},
    "Problem": {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}
  }}
}`

// What is not as it is described is found.
func TestCheck(t *testing.T) {
	d, err := Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path string
		status       int
		kind, body   string
		ok           bool
	}{
		{"GET", "/v1/db/object?id=1", 200, "application/json; charset=utf-8", `{"id": "1", "value": {"any": null}, "list": [1, 2]}`, true},
		{"HEAD", "/v1/db/object", 200, "application/json", ``, true},
		{"GET", "/v1/db/object", 404, "application/json", `{"code": "NOT_FOUND"}`, true},
		{"GET", "/v1/db/other", 404, "application/json", `{"code": "NOT_FOUND"}`, true},
		{"POST", "/v1/db/object", 405, "application/json", `{}`, true},
		{"GET", "/v1/db/other", 200, "application/json", `{"id": "1"}`, false},
		{"GET", "/v1/db/object", 500, "application/json", `{"code": "INTERNAL"}`, false},
		{"GET", "/v1/db/object", 404, "application/json", `{"code": "GONE"}`, false},
		{"GET", "/v1/db/object", 200, "text/plain", `{"id": "1"}`, false},
		{"GET", "/v1/db/object", 200, "application/json", `{"id": 1}`, false},
		{"GET", "/v1/db/object", 200, "application/json", `{"value": 1}`, false},
		{"GET", "/v1/db/object", 200, "application/json", `{"id": "1", "more": 1}`, false},
		{"GET", "/v1/db/object", 200, "application/json", `{"id": "1", "list": [1, 2.5]}`, false},
		{"GET", "/v1/db/object", 200, "application/json", `[]`, false},
	} {
		answer := &http.Response{StatusCode: c.status, Header: http.Header{"Content-Type": {c.kind}}}
		if err := d.Check(c.method, c.path, answer, []byte(c.body)); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
