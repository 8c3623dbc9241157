package api

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"

	"github.com/trenza-router/trenza/webui/auth"
)

// Base is the path under which the interface is served.
const Base = "/api/v1"

// Register serves the interface under Base. Who asks is found by who; requests that may not, or whose parameters and JSON bodies
// are not as the specification says, never reach the handlers. An operation that does not say who may use it is an error.
func Register(e *echo.Echo, h *Handlers, who func(*http.Request) (auth.Principal, auth.Visit)) error {
	spec, err := GetSpec()
	if err != nil {
		return fmt.Errorf("reading the interface's own specification: %w", err)
	}
	rights, err := Rights(spec)
	if err != nil {
		return err
	}
	// Not on a group: its middleware would make "not found" of a method that is not allowed.
	e.Use(identified(who), h.checked(spec, rights))
	RegisterHandlersWithBaseURL(e, NewStrictHandler(h, nil), Base)
	return nil
}

// identified gives the request's context who asks.
func identified(who func(*http.Request) (auth.Principal, auth.Visit)) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			p, v := who(r)
			c.SetRequest(r.WithContext(auth.With(r.Context(), p, v)))
			return next(c)
		}
	}
}

// pathParameter is echo's way to write a parameter of a path, which the specification writes {id}.
var pathParameter = regexp.MustCompile(`:(\w+)`)

// checked refuses requests of those who may not make them, and those with parameters that the operation does not have or whose
// schema they break.
func (h *Handlers) checked(spec *openapi3.T, rights map[string]auth.Access) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			route, ours := strings.CutPrefix(c.Path(), Base)
			route = pathParameter.ReplaceAllString(route, "{$1}")
			path := spec.Paths.Value(route)
			if !ours || path == nil {
				return next(c)
			}
			operation := path.GetOperation(c.Request().Method)
			if operation == nil {
				return next(c) // echo refuses the method
			}
			if err := rights[operation.OperationID].Permit(auth.Of(c.Request().Context()), h.auth.HasUsers()); err != nil {
				return err
			}
			if err := checkParameters(c, operation); err != nil {
				return err
			}
			return next(c)
		}
	}
}

// maxBody is the largest JSON body; policies have a bound of their own.
const maxBody = 1 << 20

func checkParameters(c echo.Context, operation *openapi3.Operation) error {
	r := c.Request()
	query := r.URL.Query()
	input := &openapi3filter.RequestValidationInput{
		Request: r, QueryParams: query, PathParams: map[string]string{}, Options: &openapi3filter.Options{SkipSettingDefaults: true},
		// The validator looks here for what it leaves out.
		Route: &routers.Route{Operation: operation},
	}
	for _, name := range c.ParamNames() {
		input.PathParams[name] = c.Param(name)
	}
	var known []string
	for _, p := range operation.Parameters {
		if p.Value.In == openapi3.ParameterInQuery {
			known = append(known, p.Value.Name)
		}
		if err := openapi3filter.ValidateParameter(r.Context(), input, p.Value); err != nil {
			return invalid("%s: %s", p.Value.Name, complaint(p.Value, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case slices.Contains(known, name):
		case len(known) == 0:
			return invalid("%s: there are no parameters here", name)
		default:
			return invalid("%s: there is no such parameter; there are %s", name, strings.Join(known, ", "))
		}
	}
	return checkBody(c, input, operation)
}

// checkBody holds a JSON body to its schema. Other kinds are the handler's.
func checkBody(c echo.Context, input *openapi3filter.RequestValidationInput, operation *openapi3.Operation) error {
	if operation.RequestBody == nil || operation.RequestBody.Value.Content.Get("application/json") == nil {
		return nil
	}
	r := c.Request()
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return echo.NewHTTPError(http.StatusUnsupportedMediaType, "send JSON, with Content-Type: application/json")
	}
	r.Body = http.MaxBytesReader(c.Response(), r.Body, maxBody)
	err := openapi3filter.ValidateRequestBody(r.Context(), input, operation.RequestBody.Value)
	var large *http.MaxBytesError
	var schema *openapi3.SchemaError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &large):
		return echo.NewHTTPError(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is too large: it may have %d KiB", maxBody>>10))
	case errors.As(err, &schema):
		// Its text may hold the value, which may be a password: only where and why.
		return invalid("%s: %s", strings.Join(schema.JSONPointer(), "."), schema.Reason)
	}
	return invalid("the body is not JSON as openapi.yaml describes it")
}

// complaint says what is wrong with a parameter and what to write instead.
func complaint(p *openapi3.Parameter, err error) string {
	var schema *openapi3.SchemaError
	if s := p.Schema.Value; s.Format == "date-time" {
		return "use a time like 2026-11-21T20:40:00Z; a + in it is written %2B"
	}
	if errors.Is(err, openapi3filter.ErrInvalidRequired) {
		return "is missing"
	}
	if errors.As(err, &schema) {
		return schema.Reason
	}
	var parse *openapi3filter.ParseError
	if errors.As(err, &parse) {
		return parse.Error()
	}
	return err.Error()
}

// HandleError answers with schema Error whatever stopped a request: echo itself, a middleware or a handler. What is
// not the client's fault is logged.
func HandleError(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			// Too late to say anything; mostly a client that went away in the middle of an answer.
			log.Debug("an answer was not finished", "path", c.Request().URL.Path, "error", err)
			return
		}
		code, body := failure(err)
		var route *echo.HTTPError
		if errors.As(err, &route) {
			code, body.Message = route.Code, fmt.Sprint(route.Message)
			switch code {
			case http.StatusNotFound:
				body.Message = fmt.Sprintf("there is no %s; the interface is described in openapi.yaml", c.Request().URL.Path)
			case http.StatusMethodNotAllowed:
				body.Message = fmt.Sprintf("%s is not possible with %s", c.Request().Method, c.Request().URL.Path)
			}
		}
		if code >= http.StatusInternalServerError {
			log.Error("a request failed", "method", c.Request().Method, "path", c.Request().URL.Path, "error", err)
		}
		if c.Request().Method == http.MethodHead {
			err = c.NoContent(code)
		} else {
			err = c.JSON(code, body)
		}
		if err != nil {
			log.Debug("an answer could not be sent", "error", err)
		}
	}
}
