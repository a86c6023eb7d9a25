package webui

import (
	"reflect"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object of the document.
type object = map[string]any

// openAPI makes the OpenAPI 3.1 document of the route table and of the types
// that the handlers themselves use.
func (s *Server) openAPI() object {
	schemas := object{}
	paths := object{}
	for _, r := range s.routes() {
		path, params := openPath(r.path)
		op := object{"summary": r.does, "operationId": operationID(r), "responses": responses(r, schemas)}
		if r.path == "/events" {
			params = append(params, query("since", object{"type": "string", "format": "date-time"}),
				query("before", object{"type": "string", "format": "date-time"}), query("kind", object{"type": "string"}), query("limit", object{"type": "integer"}))
		}
		if r.revised {
			params = append(params, object{"name": "If-Match", "in": "header", "required": false, "schema": object{"type": "string"},
				"description": "The ETag of the answer that the change was made from. Required, except on the unix socket; * takes what is there."})
		}
		if len(params) > 0 {
			op["parameters"] = params
		}
		if r.in != nil {
			content := object{"application/json": object{"schema": schema(reflect.TypeOf(r.in), schemas)}}
			if r.path == "/tunnels" {
				content["multipart/form-data"] = object{"schema": object{"type": "object", "properties": object{
					"file": object{"type": "string", "format": "binary"}, "name": object{"type": "string"}, "label": object{"type": "string"}}}}
			}
			op["requestBody"] = object{"required": true, "content": content}
		}
		if r.open {
			op["security"] = []any{}
		}
		item, ok := paths[prefix+path].(object)
		if !ok {
			item = object{}
			paths[prefix+path] = item
		}
		item[strings.ToLower(r.method)] = op
	}
	return object{
		"openapi": "3.1.0",
		"info": object{"title": "lanseal", "version": "1",
			"description": "On the unix socket root needs no session. On the LAN sign in first; the cookie is the session."},
		"paths":    paths,
		"security": []any{object{"session": []any{}}},
		"components": object{"schemas": schemas, "securitySchemes": object{
			"session": object{"type": "apiKey", "in": "cookie", "name": cookieName}}},
	}
}

// openPath turns :name into {name}.
func openPath(path string) (string, []any) {
	var params []any
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if name, ok := strings.CutPrefix(p, ":"); ok {
			parts[i] = "{" + name + "}"
			params = append(params, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
		}
	}
	return strings.Join(parts, "/"), params
}

func query(name string, schema object) object {
	return object{"name": name, "in": "query", "required": false, "schema": schema}
}

func operationID(r route) string {
	id := strings.ToLower(r.method)
	for _, p := range strings.FieldsFunc(r.path, func(c rune) bool { return c == '/' || c == ':' || c == '.' }) {
		id += strings.ToUpper(p[:1]) + p[1:]
	}
	return id
}

func responses(r route, schemas object) object {
	good := object{"description": "It is done."}
	switch out := r.out.(type) {
	case string:
		good["content"] = object{out: object{"schema": object{"type": "string"}}}
	default:
		good["content"] = object{"application/json": object{"schema": schema(reflect.TypeOf(out), schemas)}}
	}
	bad := object{"description": "It is not, and why.", "content": object{
		"application/json": object{"schema": schema(reflect.TypeFor[errorBody](), schemas)}}}
	return object{strconv.Itoa(r.status): good, "default": bad}
}

// schema describes a type; named structs go to the components.
func schema(t reflect.Type, schemas object) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		s := schema(t.Elem(), schemas)
		if kind, ok := s["type"].(string); ok {
			s["type"] = []any{kind, "null"}
		}
		return s
	case t.Kind() == reflect.Struct && strings.HasPrefix(t.Name(), "Opt["):
		return schema(t.Field(1).Type, schemas)
	case t.Kind() == reflect.Struct:
		name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
		if _, known := schemas[name]; !known {
			schemas[name] = nil // a type may hold itself
			schemas[name] = structSchema(t, schemas)
		}
		return object{"$ref": "#/components/schemas/" + name}
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": schema(t.Elem(), schemas)}
	case t.Kind() == reflect.Map:
		return object{"type": "object"}
	case t.Kind() == reflect.Bool:
		return object{"type": "boolean"}
	case t.Kind() == reflect.String:
		return object{"type": "string"}
	case t.Kind() == reflect.Float64:
		return object{"type": "number"}
	}
	return object{"type": "integer"}
}

func structSchema(t reflect.Type, schemas object) object {
	props, required := object{}, []any{}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous { // its fields are this object's
			inner := structSchema(f.Type, schemas)
			for k, v := range inner["properties"].(object) {
				props[k] = v
			}
			required = append(required, inner["required"].([]any)...)
			continue
		}
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		props[name] = schema(f.Type, schemas)
		if opts == "" && f.Type.Kind() != reflect.Pointer && !strings.HasPrefix(f.Type.Name(), "Opt[") {
			required = append(required, name)
		}
	}
	return object{"type": "object", "properties": props, "required": required, "additionalProperties": false}
}
