package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"slices"
	"strings"
	"time"

	"github.com/trenza-router/trenza/router/backup"
	"github.com/trenza-router/trenza/router/engine"
	"github.com/trenza-router/trenza/router/policy"
	"github.com/trenza-router/trenza/webui/auth"
)

// restoreSeconds is how long a restored household is tried when the client does not say: long enough to find the router's page again.
const restoreSeconds = 120

// MakeBackup makes a backup.
func (h *Handlers) MakeBackup(ctx context.Context, r MakeBackupRequestObject) (MakeBackupResponseObject, error) {
	w := backup.Wish{Devices: r.Body.Devices == nil || *r.Body.Devices, History: value(r.Body.History), Secrets: value(r.Body.Secrets)}
	file, err := h.backups.Make(ctx, w, value(r.Body.Passphrase))
	if err != nil {
		return nil, err
	}
	held := "without secrets"
	if w.Secrets {
		held = "with secrets"
	}
	h.record(ctx, "backup.make", held, "", "")
	return MakeBackup200ApplicationoctetStreamResponse{Body: bytes.NewReader(file), ContentLength: int64(len(file))}, nil
}

// CheckRestore opens a backup and tells what it would change.
func (h *Handlers) CheckRestore(ctx context.Context, r CheckRestoreRequestObject) (CheckRestoreResponseObject, error) {
	file, passphrase, err := readParts(r.Body)
	if err != nil {
		return nil, err
	}
	c, err := backup.Open(file, passphrase)
	if err != nil {
		return nil, err
	}
	plan, err := h.restorePlan(ctx, c)
	if err != nil {
		return nil, err
	}
	if len(plan.Problems) == 0 {
		if plan.Id, err = h.backups.Stage(c, auth.Of(ctx).User); err != nil {
			return nil, err
		}
	}
	return CheckRestore200JSONResponse(plan), nil
}

// readParts reads a form with a file and its passphrase.
func readParts(form *multipart.Reader) (file []byte, passphrase string, err error) {
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			if file == nil {
				return nil, "", invalid("file: is missing")
			}
			return file, passphrase, nil
		}
		if err != nil {
			return nil, "", invalid("the form cannot be read: %v", err)
		}
		limit := int64(backup.MaxFile)
		if part.FormName() == "passphrase" {
			limit = 1024
		}
		data, err := io.ReadAll(io.LimitReader(part, limit+1))
		if err != nil {
			return nil, "", invalid("the form cannot be read: %v", err)
		}
		switch {
		case int64(len(data)) > limit:
			return nil, "", backup.ErrLarge
		case part.FormName() == "passphrase":
			passphrase = string(data)
		case part.FormName() == "file":
			file = data
		default:
			return nil, "", invalid("%s: there is no such field; there are passphrase and file", part.FormName())
		}
	}
}

// restorePlan tells what restoring a backup here would change.
func (h *Handlers) restorePlan(ctx context.Context, c backup.Content) (RestorePlan, error) {
	me := auth.Of(ctx)
	plan := RestorePlan{Made: c.Made, Version: c.Version, Problems: []string{}, Warnings: []string{}, Changes: []Change{}, Users: h.restoredUsers(c, me.User),
		Devices: len(c.Devices), Days: len(c.Days), Authority: c.Authority(), Relays: append([]string{}, c.Relays()...), Keeps: me.User != 0}
	slices.Sort(plan.Relays)
	if here, err := h.backups.Configuration(c.Authority()); err == nil && c.Config != "" && c.Config != here {
		plan.Config = &c.Config
	}
	_, warnings, changes, err := h.engine.CheckPolicy(ctx, c.Policy)
	var problems engine.Problems
	switch {
	case errors.As(err, &problems):
		plan.Problems = append(plan.Problems, problems...)
	case err != nil:
		return RestorePlan{}, err
	default:
		plan.Changes, plan.Warnings = Changes(changes), each(warnings, policy.Warning.String)
	}
	admin := me.User != 0
	for _, u := range c.Users {
		if err := auth.CheckStored(u.Name, u.Role, u.Person, u.Password); err != nil {
			plan.Problems = append(plan.Problems, fmt.Sprintf("user %s: %v", u.Name, err))
		}
		admin = admin || u.Role == string(auth.Admin)
	}
	if !admin && len(c.Users) > 0 {
		plan.Problems = append(plan.Problems, "nobody in it is an admin")
	}
	return plan, nil
}

// restoredUsers tells what becomes of each user; keep stays as they are.
func (h *Handlers) restoredUsers(c backup.Content, keep int64) []RestoredUser {
	out := []RestoredUser{}
	if len(c.Users) == 0 {
		return out
	}
	there := map[string]auth.User{}
	for _, u := range h.auth.Users() {
		there[strings.ToLower(u.Name)] = u
	}
	for _, u := range c.Users {
		role := Role(u.Role)
		now, known := there[strings.ToLower(u.Name)]
		delete(there, strings.ToLower(u.Name))
		switch {
		case !known:
			out = append(out, RestoredUser{Name: u.Name, What: RestoredUserWhatAdded, Role: &role})
		case now.ID == keep || h.auth.SameStored(now.ID, u.Role, u.Person, u.Password):
			role := Role(now.Role)
			out = append(out, RestoredUser{Name: now.Name, What: RestoredUserWhatSame, Role: &role})
		default:
			out = append(out, RestoredUser{Name: u.Name, What: RestoredUserWhatChanged, Role: &role})
		}
	}
	for _, u := range h.auth.Users() { // in their order
		if _, left := there[strings.ToLower(u.Name)]; !left {
			continue
		}
		role, what := Role(u.Role), RestoredUserWhatRemoved
		if u.ID == keep {
			what = RestoredUserWhatSame
		}
		out = append(out, RestoredUser{Name: u.Name, What: what, Role: &role})
	}
	return out
}

// BeginRestore restores a backup that was opened.
func (h *Handlers) BeginRestore(ctx context.Context, r BeginRestoreRequestObject) (BeginRestoreResponseObject, error) {
	p := auth.Of(ctx)
	if t, running := h.engine.Trial(); running {
		return nil, fmt.Errorf("%w (by %s)", engine.ErrTrial, t.By)
	}
	seconds := restoreSeconds
	if r.Body.Seconds != nil {
		seconds = *r.Body.Seconds
	}
	// Noted first: when it begins, this router ends.
	h.record(ctx, "restore.begin", r.Body.Id, "", "")
	if err := h.backups.Begin(r.Body.Id, p.User, backup.Who{Name: p.Name, Voice: p.Voice(), User: p.User}, time.Duration(seconds)*time.Second); err != nil {
		return nil, err
	}
	return BeginRestore200JSONResponse(h.restore(ctx)), nil
}

// restore tells how a restore stands.
func (h *Handlers) restore(ctx context.Context) Restore {
	st := h.backups.State()
	out := Restore{Running: st.Running, Settled: st.Settled, Failed: some(st.Failed)}
	if !st.Running {
		return out
	}
	mine := st.Voice == auth.Of(ctx).Voice()
	out.By, out.Made, out.Mine = &st.By, &st.Made, &mine
	if st.Settled {
		left := max(time.Until(st.Until).Milliseconds(), 0)
		out.LeftMs = &left
	}
	return out
}

// GetRestore answers how a restore stands.
func (h *Handlers) GetRestore(ctx context.Context, _ GetRestoreRequestObject) (GetRestoreResponseObject, error) {
	return GetRestore200JSONResponse(h.restore(ctx)), nil
}

// KeepRestore keeps what was restored.
func (h *Handlers) KeepRestore(ctx context.Context, _ KeepRestoreRequestObject) (KeepRestoreResponseObject, error) {
	if err := h.backups.Keep(ctx, auth.Of(ctx).Voice()); err != nil {
		return nil, err
	}
	h.record(ctx, "restore.keep", "", "", "")
	return KeepRestore200JSONResponse(h.restore(ctx)), nil
}

// BackRestore goes back to how it was before.
func (h *Handlers) BackRestore(ctx context.Context, _ BackRestoreRequestObject) (BackRestoreResponseObject, error) {
	if err := h.backups.Back(); err != nil {
		return nil, err
	}
	h.record(ctx, "restore.back", "", "", "")
	return BackRestore200JSONResponse(h.restore(ctx)), nil
}

// mayChange refuses changes that would be lost with a restored household that is not kept.
func (h *Handlers) mayChange() error {
	if h.backups.State().Running {
		return backup.ErrRestoring
	}
	return nil
}
