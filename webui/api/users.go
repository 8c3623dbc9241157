package api

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/trenza-router/trenza/webui/auth"
)

// SetMyPassword changes one's own password.
func (h *Handlers) SetMyPassword(ctx context.Context, r SetMyPasswordRequestObject) (SetMyPasswordResponseObject, error) {
	p := auth.Of(ctx)
	if err := h.auth.SetPassword(ctx, p, auth.VisitOf(ctx), r.Body.Old, r.Body.New); err != nil {
		return nil, err
	}
	h.record(ctx, "user.password", p.Name, "", "")
	return SetMyPassword204Response{}, nil
}

// BeginTotp begins a second factor.
func (h *Handlers) BeginTotp(ctx context.Context, r BeginTotpRequestObject) (BeginTotpResponseObject, error) {
	secret, uri, err := h.auth.BeginTOTP(ctx, auth.Of(ctx), auth.VisitOf(ctx), r.Body.Password)
	if err != nil {
		return nil, err
	}
	return BeginTotp200JSONResponse{Secret: secret, Uri: uri}, nil
}

// ConfirmTotp turns the second factor on.
func (h *Handlers) ConfirmTotp(ctx context.Context, r ConfirmTotpRequestObject) (ConfirmTotpResponseObject, error) {
	codes, err := h.auth.ConfirmTOTP(ctx, auth.Of(ctx), auth.VisitOf(ctx), r.Body.Code)
	if err != nil {
		return nil, err
	}
	h.record(ctx, "user.totp", auth.Of(ctx).Name, "off", "on")
	return ConfirmTotp200JSONResponse{Codes: codes}, nil
}

// EndTotp turns the second factor off.
func (h *Handlers) EndTotp(ctx context.Context, r EndTotpRequestObject) (EndTotpResponseObject, error) {
	if err := h.auth.EndTOTP(ctx, auth.Of(ctx), auth.VisitOf(ctx), r.Body.Password); err != nil {
		return nil, err
	}
	h.record(ctx, "user.totp", auth.Of(ctx).Name, "on", "off")
	return EndTotp204Response{}, nil
}

// ListUsers lists who may sign in.
func (h *Handlers) ListUsers(context.Context, ListUsersRequestObject) (ListUsersResponseObject, error) {
	return ListUsers200JSONResponse(each(h.auth.Users(), userOf)), nil
}

// AddUser lets someone in.
func (h *Handlers) AddUser(ctx context.Context, r AddUserRequestObject) (AddUserResponseObject, error) {
	n := auth.NewUser{Name: r.Body.Name, Password: r.Body.Password, Role: auth.Role(r.Body.Role), Person: value(r.Body.Person)}
	if err := h.personExists(n.Person); err != nil {
		return nil, err
	}
	u, err := h.auth.Add(ctx, n)
	if err != nil {
		return nil, err
	}
	h.record(ctx, "user.add", u.Name, "", describe(u))
	return AddUser200JSONResponse(userOf(u)), nil
}

// personExists refuses to bind a user to somebody whom the policy does not have: "" is nobody.
func (h *Handlers) personExists(id string) error {
	if id == "" {
		return nil
	}
	for _, p := range h.engine.PolicyInForce().People {
		if p.ID == id {
			return nil
		}
	}
	return invalid("person: the policy has no person %q; add them first", id)
}

func describe(u auth.User) string {
	words := []string{string(u.Role)}
	if u.Person != "" {
		words = append(words, "person "+u.Person)
	}
	if u.TOTP {
		words = append(words, "second factor")
	}
	return strings.Join(words, ", ")
}

// ChangeUser changes a user.
func (h *Handlers) ChangeUser(ctx context.Context, r ChangeUserRequestObject) (ChangeUserResponseObject, error) {
	before, err := h.auth.ByID(r.Id)
	if err != nil {
		return nil, err
	}
	c := auth.Change{Person: r.Body.Person, Password: r.Body.Password, NoTOTP: value(r.Body.RemoveTotp)}
	if r.Body.Role != nil {
		role := auth.Role(*r.Body.Role)
		c.Role = &role
	}
	if err := h.personExists(value(c.Person)); err != nil {
		return nil, err
	}
	u, err := h.auth.Update(ctx, r.Id, c)
	if err != nil {
		return nil, err
	}
	after := describe(u)
	if c.Password != nil {
		after += ", new password"
	}
	h.record(ctx, "user.change", u.Name, describe(before), after)
	return ChangeUser200JSONResponse(userOf(u)), nil
}

// DeleteUser lets somebody in no more.
func (h *Handlers) DeleteUser(ctx context.Context, r DeleteUserRequestObject) (DeleteUserResponseObject, error) {
	u, err := h.auth.Delete(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	h.record(ctx, "user.delete", u.Name, describe(u), "")
	return DeleteUser204Response{}, nil
}

func tokenOf(t auth.Token) Token {
	out := Token{Id: t.ID, Name: t.Name, Made: t.Made, Scopes: each(t.Scopes, func(s auth.Scope) Scope { return Scope(s) })}
	if !t.Expires.IsZero() {
		out.Expires = &t.Expires
	}
	return out
}

// ListTokens lists one's tokens.
func (h *Handlers) ListTokens(ctx context.Context, _ ListTokensRequestObject) (ListTokensResponseObject, error) {
	return ListTokens200JSONResponse(each(h.auth.Tokens(auth.Of(ctx).User), tokenOf)), nil
}

// AddToken makes a token.
func (h *Handlers) AddToken(ctx context.Context, r AddTokenRequestObject) (AddTokenResponseObject, error) {
	scopes, err := auth.ParseScopes(each(r.Body.Scopes, func(s Scope) string { return string(s) }))
	if err != nil {
		return nil, invalid("scopes: %v", err)
	}
	var expires time.Time
	if r.Body.Expires != nil {
		if expires = *r.Body.Expires; !expires.After(time.Now()) {
			return nil, invalid("expires: this moment is over")
		}
	}
	secret, t, err := h.auth.AddToken(ctx, auth.Of(ctx).User, r.Body.Name, scopes, expires)
	if err != nil {
		return nil, err
	}
	h.record(ctx, "token.add", t.Name, "", fmt.Sprint(t.Scopes))
	return AddToken200JSONResponse{Token: tokenOf(t), Secret: secret}, nil
}

// DeleteToken takes a token back.
func (h *Handlers) DeleteToken(ctx context.Context, r DeleteTokenRequestObject) (DeleteTokenResponseObject, error) {
	if err := h.auth.DeleteToken(ctx, auth.Of(ctx).User, r.Id); err != nil {
		return nil, err
	}
	h.record(ctx, "token.delete", fmt.Sprint(r.Id), "", "")
	return DeleteToken204Response{}, nil
}
