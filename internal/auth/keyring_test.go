package auth_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/auth"
)

var (
	seed32   = strings.Repeat("k", 32)
	hsKey    = base64.StdEncoding.EncodeToString([]byte(seed32))
	otherKey = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("o", 48)))
	edSeed   = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("e", 32)))
	edPublic = base64.StdEncoding.EncodeToString(ed25519.NewKeyFromSeed([]byte(strings.Repeat("e", 32))).Public().(ed25519.PublicKey))
)

func ring(t testing.TB, text string) auth.TokenKeys {
	t.Helper()
	keys, err := auth.ParseTokenKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestParseTokenKeys_TheFirstSignsAndAllVerify(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, c := range []struct{ signs, verifies string }{
		{"a=hs256:" + hsKey, "b=ed25519:" + edSeed + ", a=hs256:" + hsKey},
		{"a=hs256:" + strings.TrimRight(hsKey, "="), "a=hs256:" + hsKey},
		{"e=ed25519:" + edSeed, "e=ed25519:" + edSeed},
		{"e=ed25519:" + edSeed, "a=hs256:" + hsKey + ",e=ed25519pub:" + edPublic},
	} {
		token, err := ring(t, c.signs).Sign("u", "t", "s", now)
		if err != nil {
			t.Fatal(err)
		}
		if err := ring(t, c.verifies).Verify(token, now); err != nil {
			t.Errorf("signed by %s, verified by %s: %v", c.signs, c.verifies, err)
		}
		if err := ring(t, "a=hs256:"+otherKey+",e=hs256:"+otherKey).Verify(token, now); err == nil {
			t.Errorf("signed by %s, verified by another key of that name", c.signs)
		}
	}
}

func TestParseTokenKeys_RefusesWithoutShowingKeys(t *testing.T) {
	t.Parallel()
	short := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("z", 31)))
	for _, text := range []string{
		hsKey, "=hs256:" + hsKey, hsKey + "=hs256:" + hsKey, "a=hs256:" + short, "a=hs256:" + hsKey[:20] + "!" + hsKey[20:], "a=hs512:" + hsKey, "a=none:" + hsKey,
		"a=" + hsKey, "a=:" + hsKey, "a=hs256:", "a=HS256:" + hsKey, "a b=hs256:" + hsKey, "a=ed25519:" + short, "a=ed25519:" + otherKey, "a=ed25519pub:" + edPublic,
		"a=hs256:" + hsKey + ",b=ed25519pub:" + otherKey, "a=hs256:" + hsKey + ",a=hs256:" + otherKey, "a=hs256:" + hsKey + ",", ",a=hs256:" + hsKey,
	} {
		_, err := auth.ParseTokenKeys(text)
		if err == nil {
			t.Errorf("ParseTokenKeys(%q) takes it", text)
			continue
		}
		for _, key := range []string{hsKey, short, otherKey, edPublic, hsKey[:20]} {
			if strings.Contains(err.Error(), key) {
				t.Errorf("ParseTokenKeys(%q) shows a key: %v", text, err)
			}
		}
	}
}

func TestParseTokenKeys_NothingIsNoKeys(t *testing.T) {
	t.Parallel()
	if _, err := ring(t, " ").Sign("u", "t", "s", time.Now()); err == nil {
		t.Error("no key signs")
	}
}

func FuzzParseTokenKeys(f *testing.F) {
	for _, seed := range []string{"a=hs256:" + hsKey, "a=ed25519:" + edSeed + ",b=ed25519pub:" + edPublic, "", "=:", "a=hs256:,", hsKey} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := auth.ParseTokenKeys(text)
		if err != nil || strings.TrimSpace(text) == "" {
			return
		}
		now := time.Now()
		token, err := keys.Sign("u", "t", "s", now)
		if err != nil {
			t.Fatalf("what was parsed does not sign: %v", err)
		}
		if err := keys.Verify(token, now); err != nil {
			t.Errorf("what was signed does not verify: %v", err)
		}
	})
}
