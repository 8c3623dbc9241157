package api

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/labstack/echo/v4"
)

// Base is the path under which the interface is served.
const Base = "/api/v1"

// Register serves the interface under Base. Parameters that are not as the specification says never reach the handlers.
func Register(e *echo.Echo, h *Handlers) error {
	spec, err := GetSpec()
	if err != nil {
		return fmt.Errorf("reading the interface's own specification: %w", err)
	}
	// Not on a group: its middleware would make "not found" of a method that is not allowed.
	e.Use(checked(spec))
	RegisterHandlersWithBaseURL(e, NewStrictHandler(h, nil), Base)
	return nil
}

// checked refuses requests with parameters that the operation does not have or whose schema they break.
func checked(spec *openapi3.T) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			route, ours := strings.CutPrefix(c.Path(), Base)
			path := spec.Paths.Value(route)
			if !ours || path == nil {
				return next(c)
			}
			operation := path.GetOperation(c.Request().Method)
			if operation == nil {
				return next(c) // echo refuses the method
			}
			if err := checkParameters(c.Request(), operation); err != nil {
				return echo.NewHTTPError(http.StatusBadRequest, err.Error()).SetInternal(err)
			}
			return next(c)
		}
	}
}

func checkParameters(r *http.Request, operation *openapi3.Operation) error {
	query := r.URL.Query()
	input := &openapi3filter.RequestValidationInput{
		Request: r, QueryParams: query, Options: &openapi3filter.Options{SkipSettingDefaults: true},
	}
	var known []string
	for _, p := range operation.Parameters {
		known = append(known, p.Value.Name)
		if err := openapi3filter.ValidateParameter(r.Context(), input, p.Value); err != nil {
			return fmt.Errorf("%s: %s", p.Value.Name, complaint(p.Value, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case slices.Contains(known, name):
		case len(known) == 0:
			return fmt.Errorf("%s: there are no parameters here", name)
		default:
			return fmt.Errorf("%s: there is no such parameter; there are %s", name, strings.Join(known, ", "))
		}
	}
	return nil
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
		code, message := http.StatusInternalServerError, "something is wrong inside the router; its log says what"
		var refusal *echo.HTTPError
		if errors.As(err, &refusal) {
			code, message = refusal.Code, fmt.Sprint(refusal.Message)
		}
		switch code {
		case http.StatusNotFound:
			message = fmt.Sprintf("there is no %s; the interface is described in openapi.yaml", c.Request().URL.Path)
		case http.StatusMethodNotAllowed:
			message = fmt.Sprintf("%s is not possible with %s", c.Request().Method, c.Request().URL.Path)
		}
		if code >= http.StatusInternalServerError {
			log.Error("a request failed", "method", c.Request().Method, "path", c.Request().URL.Path, "error", err)
		}
		if c.Request().Method == http.MethodHead {
			err = c.NoContent(code)
		} else {
			err = c.JSON(code, Error{Message: message})
		}
		if err != nil {
			log.Debug("an answer could not be sent", "error", err)
		}
	}
}
