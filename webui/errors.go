package webui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// failure is an answer that is an error.
type failure struct {
	status int
	Problem
}

func (f failure) Error() string { return f.Problem.Error }

func fail(status int, field, format string, args ...any) error {
	return failure{status, Problem{Error: fmt.Sprintf(format, args...), Field: field}}
}

// errorBody is the body of every error: the first problem, and all of them.
type errorBody struct {
	Error  string    `json:"error"`
	Field  string    `json:"field,omitempty"`
	Errors []Problem `json:"errors,omitempty"`
}

// answerError says what went wrong, and nothing that is not the asker's.
func answerError(c *gin.Context, err error) {
	var f failure
	var invalid Invalid
	status, body := http.StatusInternalServerError, errorBody{Error: err.Error()}
	switch {
	case errors.As(err, &f):
		status, body = f.status, errorBody{Error: f.Problem.Error, Field: f.Field}
	case errors.As(err, &invalid) && len(invalid) > 0:
		status, body = http.StatusBadRequest, errorBody{Error: invalid[0].Error, Field: invalid[0].Field, Errors: invalid}
	case errors.Is(err, ErrStale):
		status = http.StatusPreconditionFailed
	case errors.Is(err, ErrNoExit):
		status = http.StatusNotFound
	case errors.Is(err, ErrBusy), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		status, body.Error = http.StatusServiceUnavailable, ErrBusy.Error()
		c.Header("Retry-After", "1")
	}
	if status == http.StatusUnauthorized && c.Writer.Header().Get("WWW-Authenticate") == "" {
		c.Header("WWW-Authenticate", `Cookie realm="lanseal"`)
	}
	c.AbortWithStatusJSON(status, body)
}

// Bounds of a body, in bytes.
const (
	mostJSON   = 64 << 10
	mostTunnel = 512 << 10 // a provider's file has a few thousand
)

// decode reads a JSON body strictly: one value, known fields, right types.
func decode(c *gin.Context, into any) error {
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, mostJSON)
	return decodeLarge(c, into)
}

// decodeLarge leaves the bound to the caller.
func decodeLarge(c *gin.Context, into any) error {
	if t, _, _ := strings.Cut(c.ContentType(), ";"); t != "application/json" {
		return fail(http.StatusUnsupportedMediaType, "", "the body must be application/json")
	}
	d := json.NewDecoder(c.Request.Body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			return fail(http.StatusBadRequest, "", "the body goes on after its JSON value")
		}
		return nil
	}
	return badJSON(err)
}

// badJSON names the field, as far as encoding/json does.
func badJSON(err error) error {
	var typ *json.UnmarshalTypeError
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return fail(http.StatusRequestEntityTooLarge, "", "the body is larger than %d bytes", large.Limit)
	}
	if errors.As(err, &typ) {
		return fail(http.StatusBadRequest, firstName(typ.Field), "%s is not right here: %s is expected", typ.Value, typeName(typ.Type.String()))
	}
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return fail(http.StatusBadRequest, strings.Trim(name, `"`), "there is no such field")
	}
	return fail(http.StatusBadRequest, "", "the body is not JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
}

func firstName(path string) string {
	name, _, _ := strings.Cut(path, ".")
	return name
}

// typeName is a Go type in the words of JSON.
func typeName(t string) string {
	t = strings.TrimPrefix(t, "*")
	switch {
	case strings.HasPrefix(t, "[]"):
		return "a list"
	case t == "bool":
		return "true or false"
	case strings.HasPrefix(t, "int"), strings.HasPrefix(t, "uint"), strings.HasPrefix(t, "float"):
		return "a number"
	case t == "string":
		return "text"
	}
	return "an object"
}
