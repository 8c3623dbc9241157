package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/trenza-router/trenza/router/store"
	"github.com/trenza-router/trenza/webui/auth"
	"github.com/trenza-router/trenza/webui/localca"
)

// session tells who asks.
func (h *Handlers) session(ctx context.Context, p auth.Principal) Session {
	out := Session{State: SessionStateAnonymous, Secure: auth.VisitOf(ctx).TLS}
	if !h.auth.HasUsers() {
		out.State = SessionStateSetup
	}
	if !p.Known() {
		return out
	}
	out.State = SessionStateSignedIn
	user := User{Name: p.Name, Role: Role(p.Role)}
	if u, err := h.auth.ByID(p.User); err == nil {
		user = userOf(u)
	}
	out.User = &user
	if p.Role == auth.Admin && !p.Root {
		if progress, err := h.progress(ctx); err == nil && !progress.Done {
			out.SetupStep = some(progress.Step)
		}
	}
	return out
}

func userOf(u auth.User) User {
	return User{Id: u.ID, Name: u.Name, Role: Role(u.Role), Person: some(u.Person), Totp: u.TOTP, RecoveryLeft: u.Recovery, Made: u.Made}
}

// GetSession answers with who asks.
func (h *Handlers) GetSession(ctx context.Context, _ GetSessionRequestObject) (GetSessionResponseObject, error) {
	return GetSession200JSONResponse(h.session(ctx, auth.Of(ctx))), nil
}

// SignIn signs in.
func (h *Handlers) SignIn(ctx context.Context, r SignInRequestObject) (SignInResponseObject, error) {
	v := auth.VisitOf(ctx)
	token, p, err := h.auth.Login(ctx, v, r.Body.Name, r.Body.Password, value(r.Body.Code))
	if err != nil {
		if errors.Is(err, auth.ErrBadLogin) {
			h.log.Warn("somebody could not sign in", "peer", v.Peer)
		}
		return nil, err
	}
	h.recordAs(ctx, p, "session.begin", p.Name, "", "")
	cookie := auth.Cookie(v, token).String()
	return SignIn200JSONResponse{Body: h.session(ctx, p), Headers: SignIn200ResponseHeaders{SetCookie: &cookie}}, nil
}

// SignOut ends the session; without one there is nothing to do.
func (h *Handlers) SignOut(ctx context.Context, _ SignOutRequestObject) (SignOutResponseObject, error) {
	if p := auth.Of(ctx); p.Session != "" {
		if err := h.auth.EndSession(ctx, p.User, p.Session); err != nil && !errors.Is(err, auth.ErrNoSession) {
			return nil, err
		}
	}
	cookie := auth.Cookie(auth.VisitOf(ctx), "").String()
	return SignOut200JSONResponse{Body: h.session(ctx, auth.Principal{}), Headers: SignOut200ResponseHeaders{SetCookie: &cookie}}, nil
}

// ListSessions lists where one is signed in.
func (h *Handlers) ListSessions(ctx context.Context, _ ListSessionsRequestObject) (ListSessionsResponseObject, error) {
	p := auth.Of(ctx)
	return ListSessions200JSONResponse(each(h.auth.Sessions(p.User), func(s auth.Session) SessionEntry {
		return SessionEntry{Id: s.ID, Made: s.Made, Seen: s.Seen, Expires: s.Expires, Peer: s.Peer, Agent: s.Agent, Current: s.ID == p.Session}
	})), nil
}

// EndSession signs out elsewhere.
func (h *Handlers) EndSession(ctx context.Context, r EndSessionRequestObject) (EndSessionResponseObject, error) {
	if err := h.auth.EndSession(ctx, auth.Of(ctx).User, r.Id); err != nil {
		return nil, err
	}
	return EndSession204Response{}, nil
}

// setupKey is where the setup's progress is kept.
const setupKey = "web/setup"

// progress is how far the first setup is.
type progress struct {
	Step     string `json:"step"`
	Language string `json:"language"`
	Done     bool   `json:"done"`
}

func (h *Handlers) progress(ctx context.Context) (p progress, err error) {
	data, err := h.store.Setting(ctx, setupKey)
	if errors.Is(err, store.ErrNotFound) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("reading how far the setup is: %w", err)
	}
	return p, nil
}

func (h *Handlers) setup(p progress) Setup {
	return Setup{Needed: !h.auth.HasUsers(), Possible: h.auth.SetupPossible(), Done: p.Done, Step: p.Step, Language: p.Language}
}

// GetSetup answers with how far the setup is.
func (h *Handlers) GetSetup(ctx context.Context, _ GetSetupRequestObject) (GetSetupResponseObject, error) {
	p, err := h.progress(ctx)
	if err != nil {
		return nil, err
	}
	return GetSetup200JSONResponse(h.setup(p)), nil
}

// PutSetup remembers how far the setup is.
func (h *Handlers) PutSetup(ctx context.Context, r PutSetupRequestObject) (PutSetupResponseObject, error) {
	p, err := h.progress(ctx)
	if err != nil {
		return nil, err
	}
	if r.Body.Language != nil {
		p.Language = *r.Body.Language
	}
	if r.Body.Step != nil || r.Body.Done != nil {
		if auth.Of(ctx).Role != auth.Admin {
			return nil, fmt.Errorf("strangers may only choose the language: %w", auth.ErrStranger)
		}
		if r.Body.Step != nil {
			p.Step = *r.Body.Step
		}
		if r.Body.Done != nil {
			p.Done = *r.Body.Done
		}
	}
	data, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	if err := h.store.PutSetting(ctx, setupKey, data); err != nil {
		return nil, err
	}
	return PutSetup200JSONResponse(h.setup(p)), nil
}

// CreateFirstAdmin makes the first user and signs them in.
func (h *Handlers) CreateFirstAdmin(ctx context.Context, r CreateFirstAdminRequestObject) (CreateFirstAdminResponseObject, error) {
	u, err := h.auth.Setup(ctx, r.Body.Name, r.Body.Password)
	if err != nil {
		return nil, err
	}
	v := auth.VisitOf(ctx)
	token, p, err := h.auth.Begin(ctx, u.ID, v)
	if err != nil {
		return nil, err
	}
	h.recordAs(ctx, p, "user.add", u.Name, "", "admin")
	cookie := auth.Cookie(v, token).String()
	return CreateFirstAdmin200JSONResponse{Body: h.session(ctx, p), Headers: CreateFirstAdmin200ResponseHeaders{SetCookie: &cookie}}, nil
}

// RatePassword tells what a password is worth.
func (h *Handlers) RatePassword(_ context.Context, r RatePasswordRequestObject) (RatePasswordResponseObject, error) {
	s := auth.Rate(r.Body.Password, value(r.Body.Name))
	return RatePassword200JSONResponse{Score: s.Score, Ok: s.OK, Advice: PasswordStrengthAdvice(s.Advice)}, nil
}

// CertificatePath is where the authority's certificate is downloaded, outside of Base.
const CertificatePath = "/trenza-ca.crt"

// GetCertificate tells of the router's certificate authority.
func (h *Handlers) GetCertificate(context.Context, GetCertificateRequestObject) (GetCertificateResponseObject, error) {
	if h.ca == nil {
		return GetCertificate200JSONResponse{Names: []string{}}, nil
	}
	end := h.ca.NotAfter()
	return GetCertificate200JSONResponse{Available: true, Name: h.ca.Name(), Fingerprint: h.ca.Fingerprint(), NotAfter: &end,
		Names: localca.Names(), Download: CertificatePath, Port: h.tlsPort}, nil
}
