package auth

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestTOTPVectors has the values of RFC 6238 appendix B for SHA-1, eight digits there.
func TestTOTPVectors(t *testing.T) {
	key := []byte("12345678901234567890")
	for at, want := range map[int64]uint32{59: 94287082, 1111111109: 7081804, 1111111111: 14050471, 1234567890: 89005924, 2000000000: 69279037, 20000000000: 65353130} {
		if got := code(key, at/totpStep) % 100_000_000; got != want {
			t.Errorf("at %d: %08d, want %08d", at, got, want)
		}
	}
}

func TestTOTP(t *testing.T) {
	s, db, c := newService(t)
	u := add(t, s, NewUser{Name: "ana", Role: Admin})
	p := Principal{User: u.ID}
	secret, uri, err := s.BeginTOTP(t.Context(), p, here, good)
	if err != nil || !strings.Contains(uri, "secret="+secret) || !strings.HasPrefix(uri, "otpauth://totp/Trenza:ana?") {
		t.Fatal(secret, uri, err)
	}
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil || len(key) != totpKey {
		t.Fatal(key, err)
	}
	digits := func(steps int64) string {
		return fmt.Sprintf("%06d", code(key, c.Now().Unix()/totpStep+steps)%totpDigits)
	}
	if _, err := login(t, s, here, "ana", good, ""); err != nil {
		t.Errorf("before it is confirmed: %v", err)
	}
	if _, err := s.ConfirmTOTP(t.Context(), p, here, digits(-5)); !errors.Is(err, ErrBadLogin) {
		t.Errorf("an old code: %v", err)
	}
	codes, err := s.ConfirmTOTP(t.Context(), p, here, digits(0))
	if err != nil || len(codes) != recoveries {
		t.Fatal(codes, err)
	}
	s = again(t, db, c)
	if _, err := login(t, s, here, "ana", good, ""); !errors.Is(err, ErrNeedCode) {
		t.Errorf("without a code: %v", err)
	}
	if _, err := login(t, s, here, "ana", good, digits(0)); !errors.Is(err, ErrBadLogin) {
		t.Errorf("a code that was used: %v", err)
	}
	c.add(totpStep * time.Second)
	// Of two at once with the same code one gets in.
	current := digits(0)
	errs := make(chan error, 2)
	for range 2 {
		go func() {
			_, _, err := s.Login(context.WithoutCancel(t.Context()), there, "ana", good, current)
			errs <- err
		}()
	}
	if a, b := <-errs, <-errs; (a == nil) == (b == nil) {
		t.Errorf("the same code twice at once: %v, %v", a, b)
	}
	c.add(forgetFailures + time.Minute)
	if _, err := login(t, s, here, "ana", good, strings.ToLower(codes[3])); err != nil {
		t.Errorf("a recovery code: %v", err)
	}
	if _, err := login(t, s, here, "ana", good, codes[3]); !errors.Is(err, ErrBadLogin) {
		t.Errorf("a recovery code again: %v", err)
	}
	if u, err := s.ByID(u.ID); err != nil || u.Recovery != recoveries-1 || !u.TOTP {
		t.Errorf("%+v %v", u, err)
	}
	if err := s.EndTOTP(t.Context(), p, there, good); err != nil {
		t.Fatal(err)
	}
	if _, err := login(t, s, there, "ana", good, ""); err != nil {
		t.Errorf("turned off: %v", err)
	}
}

func TestHash(t *testing.T) {
	h := newHasher()
	stored, err := h.hash(t.Context(), good)
	if err != nil || !strings.HasPrefix(stored, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatal(stored, err)
	}
	for password, want := range map[string]bool{good: true, good + " ": false, "": false} {
		if got, err := h.matches(t.Context(), stored, password); got != want || err != nil {
			t.Errorf("%q: %v %v", password, got, err)
		}
	}
	if got, err := h.matches(t.Context(), "", ""); got || err != nil {
		t.Errorf("nobody's password: %v %v", got, err)
	}
	// What asks for more than a router has is refused before it is tried.
	for _, bad := range []string{"x", strings.Replace(stored, "m=19456", "m=9999999", 1), strings.Replace(stored, "t=2", "t=0", 1), strings.Replace(stored, "p=1", "p=0", 1), stored[:40]} {
		if _, err := h.matches(t.Context(), bad, good); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	// A queue that is full refuses; one that waits goes when its request does.
	h.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, maxQueue)
	for range maxQueue {
		go func() {
			_, err := h.matches(ctx, stored, good)
			waiting <- err
		}()
	}
	for len(h.queue) < maxQueue {
		time.Sleep(time.Millisecond)
	}
	if _, err := h.matches(t.Context(), stored, good); !errors.Is(err, ErrBusy) {
		t.Errorf("with a full queue: %v", err)
	}
	cancel()
	for range maxQueue {
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Errorf("a request that went away: %v", err)
		}
	}
	if len(h.queue) != 0 {
		t.Errorf("%d are still in the queue", len(h.queue))
	}
}

func TestRate(t *testing.T) {
	for _, tt := range []struct {
		password, name string
		ok             bool
		advice         string
	}{
		{"", "", false, AdviceShort}, {"Xk9#fQ2!", "", false, AdviceShort}, {strings.Repeat("x", 300), "", false, AdviceLong},
		{"password1234", "", false, AdviceCommon}, {"Trenza2026!", "", false, AdviceCommon}, {"aaaaaaaaaaaaaaaaaaaa", "", false, AdviceSimple},
		{"12345678901234567890", "", false, AdviceSimple}, {"abcdefghijklmnop", "", false, AdviceCommon}, {"maria.garcia1", "maria.garcia", false, AdviceName},
		{good, "ana", true, ""}, {"correct horse battery staple", "", true, ""}, {"Xk9#fQ2!vB7z", "", true, ""}, {"我家有三只白猫在院子里", "", true, ""},
	} {
		if got := Rate(tt.password, tt.name); got.OK != tt.ok || got.Advice != tt.advice {
			t.Errorf("%q: %+v", tt.password, got)
		}
	}
}

// FuzzParseHash: a stored form never asks for more than a small router has.
func FuzzParseHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$$")
	f.Fuzz(func(t *testing.T, stored string) {
		h, err := parseHash(stored)
		if err == nil && (h.memory > maxMemory || h.passes > maxPasses || h.lanes > maxLanes || h.lanes == 0 || len(h.key) == 0) {
			t.Fatalf("%+v", h)
		}
	})
}

// FuzzRate: every password can be rated, and none is a wonder.
func FuzzRate(f *testing.F) {
	f.Add("seven wet donkeys hum", "ana")
	f.Add("\xff\x01", "\x01")
	f.Fuzz(func(t *testing.T, password, name string) {
		s := Rate(password, name)
		if s.Score < 0 || s.Score > 4 || s.OK && s.Advice != "" || s.OK && len(password) > maxPassword || s.Bits < 0 {
			t.Fatalf("%+v", s)
		}
	})
}
