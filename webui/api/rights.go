package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/trenza-router/trenza/router/backup"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/router/store"
	"github.com/trenza-router/trenza/webui/auth"
)

// Rights reads from the specification who may use each operation, by operation id. One that does not say is an error: a route that
// nobody thought about must not be open.
func Rights(spec *openapi3.T) (map[string]auth.Access, error) {
	out := map[string]auth.Access{}
	for path, item := range spec.Paths.Map() {
		for method, operation := range item.Operations() {
			access, err := readAccess(operation.Extensions["x-access"])
			if err != nil {
				return nil, fmt.Errorf("openapi.yaml: %s %s: x-access: %w", method, path, err)
			}
			out[operation.OperationID] = access
		}
	}
	return out, nil
}

func readAccess(extension any) (a auth.Access, err error) {
	if extension == nil {
		return a, errors.New("it is missing; say who may use this")
	}
	data, err := json.Marshal(extension)
	if err != nil {
		return a, err
	}
	var written struct {
		Anyone bool     `json:"anyone"`
		Setup  bool     `json:"setup"`
		Roles  []string `json:"roles"`
		Scope  string   `json:"scope"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&written); err != nil {
		return a, err
	}
	a = auth.Access{Anyone: written.Anyone, Setup: written.Setup}
	for _, r := range written.Roles {
		role, err := auth.ParseRole(r)
		if err != nil {
			return a, err
		}
		a.Roles = append(a.Roles, role)
	}
	if written.Scope != "" {
		scopes, err := auth.ParseScopes([]string{written.Scope})
		if err != nil {
			return a, err
		}
		a.Scope = scopes[0]
	}
	if !a.Anyone && !a.Setup && len(a.Roles) == 0 {
		return a, errors.New("nobody may use this")
	}
	return a, nil
}

// errTooLarge: nothing that large is a policy.
var errTooLarge = fmt.Errorf("the policy is too large: it may have %d MiB", policy.MaxDocument>>20)

// invalidError is a request that is not as the specification says.
type invalidError string

func (e invalidError) Error() string { return string(e) }

func invalid(format string, args ...any) error { return invalidError(fmt.Sprintf(format, args...)) }

// failure turns an error into a status and what to say. What a person can mend is 4xx; of all else only the log hears the cause.
func failure(err error) (int, Error) {
	e := Error{Message: err.Error()}
	code := func(c string) { e.Code = &c }
	var problems engine.Problems
	var many auth.TooManyError
	var bad invalidError
	switch {
	case errors.As(err, &problems):
		list := []string(problems)
		e.Message, e.Problems = "the policy cannot be used", &list
		code("invalid")
		return http.StatusUnprocessableEntity, e
	case errors.As(err, &many):
		ms := many.Wait.Milliseconds()
		e.RetryMs = &ms
		code("too-many")
		return http.StatusTooManyRequests, e
	case errors.As(err, &bad):
		code("invalid")
		return http.StatusBadRequest, e
	}
	for _, known := range []struct {
		cause  error
		status int
		code   string
	}{
		{errTooLarge, http.StatusRequestEntityTooLarge, "invalid"},
		{engine.ErrConflict, http.StatusConflict, "conflict"},
		// Whoever wrote the rules hears what the kernel says of them, not only the log.
		{engine.ErrRefused, http.StatusInternalServerError, "refused"},
		{backup.ErrLarge, http.StatusRequestEntityTooLarge, "invalid"},
		{backup.ErrFile, http.StatusUnprocessableEntity, "file"},
		{backup.ErrNewer, http.StatusUnprocessableEntity, "file"},
		{backup.ErrPassphrase, http.StatusUnprocessableEntity, "passphrase"},
		{backup.ErrNeedPass, http.StatusUnprocessableEntity, "passphrase"},
		{backup.ErrShortPass, http.StatusUnprocessableEntity, "passphrase"},
		{backup.ErrRestoring, http.StatusConflict, "trial"},
		{backup.ErrNone, http.StatusNotFound, "not-found"},
		{backup.ErrUnstaged, http.StatusNotFound, "not-found"},
		{backup.ErrOther, http.StatusForbidden, "forbidden"},
		{http.ErrNotMultipart, http.StatusUnsupportedMediaType, "invalid"},
		{http.ErrMissingBoundary, http.StatusUnsupportedMediaType, "invalid"},
		{engine.ErrCapturing, http.StatusConflict, "busy"},
		{engine.ErrLoadTest, http.StatusConflict, "busy"},
		{engine.ErrCosts, http.StatusConflict, "costs"},
		{engine.ErrNoLoadTest, http.StatusNotFound, "not-found"},
		{engine.ErrTrial, http.StatusConflict, "trial"},
		{engine.ErrNoTrial, http.StatusNotFound, "not-found"},
		{engine.ErrOtherTrial, http.StatusForbidden, "forbidden"},
		{errNoDraft, http.StatusNotFound, "not-found"},
		{policy.ErrNoEntry, http.StatusNotFound, "not-found"},
		{engine.ErrUnknownDevice, http.StatusNotFound, "not-found"},
		{engine.ErrBadQuestion, http.StatusBadRequest, "invalid"},
		{auth.ErrSetupNeeded, http.StatusForbidden, "setup-needed"},
		{auth.ErrStranger, http.StatusUnauthorized, "sign-in"},
		{auth.ErrForbidden, http.StatusForbidden, "forbidden"},
		{auth.ErrScope, http.StatusForbidden, "scope"},
		{auth.ErrNeedCode, http.StatusUnauthorized, "code-required"},
		{auth.ErrBadLogin, http.StatusUnauthorized, "bad-login"},
		{auth.ErrBusy, http.StatusServiceUnavailable, "busy"},
		{auth.ErrWeak, http.StatusUnprocessableEntity, "weak-password"},
		{auth.ErrBadName, http.StatusUnprocessableEntity, "invalid"},
		{auth.ErrPerson, http.StatusUnprocessableEntity, "invalid"},
		{auth.ErrNoTOTP, http.StatusConflict, "conflict"},
		{auth.ErrLastAdmin, http.StatusConflict, "last-admin"},
		{auth.ErrNoUser, http.StatusNotFound, "not-found"},
		{auth.ErrNoToken, http.StatusNotFound, "not-found"},
		{auth.ErrNoSession, http.StatusNotFound, "not-found"},
		{auth.ErrSetupLater, http.StatusForbidden, "forbidden"},
		{store.ErrNotFirst, http.StatusConflict, "conflict"},
		{store.ErrTaken, http.StatusConflict, "taken"},
		{store.ErrNotFound, http.StatusNotFound, "not-found"},
	} {
		if errors.Is(err, known.cause) {
			code(known.code)
			return known.status, e
		}
	}
	code("internal")
	e.Message = "something is wrong inside the router; its log says what"
	return http.StatusInternalServerError, e
}
