package auth_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var issued = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// forge signs what a token of ours says, after change.
func forge(t testing.TB, method jwt.SigningMethod, key any, change func(header, claims map[string]any)) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims{
		"iss": "waybill", "aud": "waybill", "sub": "u", "sid": "s", "tenant": "default",
		"iat": issued.Unix(), "nbf": issued.Unix(), "exp": issued.Add(15 * time.Minute).Unix(),
	})
	token.Header["kid"] = "a"
	if change != nil {
		change(token.Header, token.Claims.(jwt.MapClaims))
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAccessToken_ForgedByTheTestIsGood(t *testing.T) {
	t.Parallel()
	if err := ring(t, "a=hs256:"+hsKey).Verify(forge(t, jwt.SigningMethodHS256, []byte(seed32), nil), issued); err != nil {
		t.Error(err) // or the next test shows nothing
	}
}

func TestAccessToken_RefusesWhatIsNotQuiteOurs(t *testing.T) {
	t.Parallel()
	keys := ring(t, "a=hs256:"+hsKey+",e=ed25519:"+edSeed)
	public := ed25519.NewKeyFromSeed([]byte(strings.Repeat("e", 32))).Public().(ed25519.PublicKey)
	hs := func(change func(h, c map[string]any)) string {
		return forge(t, jwt.SigningMethodHS256, []byte(seed32), change)
	}
	set := func(name string, value any) string { return hs(func(_, c map[string]any) { c[name] = value }) }
	head := func(name string, value any) string { return hs(func(h, _ map[string]any) { h[name] = value }) }
	good := hs(nil)
	parts := strings.Split(good, ".")
	cases := map[string]string{
		"alg none":               forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"alg none, our MAC":      encode(t, map[string]any{"alg": "none", "kid": "a"}) + "." + parts[1] + "." + parts[2],
		"HS with the public key": forge(t, jwt.SigningMethodHS256, []byte(public), func(h, _ map[string]any) { h["kid"] = "e" }),
		"EdDSA under HS's kid":   forge(t, jwt.SigningMethodEdDSA, ed25519.NewKeyFromSeed([]byte(strings.Repeat("e", 32))), nil),
		"HS512":                  forge(t, jwt.SigningMethodHS512, []byte(seed32), nil),
		"HS384":                  forge(t, jwt.SigningMethodHS384, []byte(seed32), nil),
		"another key":            forge(t, jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), nil),
		"wrong kid":              head("kid", "b"),
		"kid of another alg":     head("kid", "e"),
		"kid a number":           head("kid", 1),
		"no kid":                 hs(func(h, _ map[string]any) { delete(h, "kid") }),
		"crit":                   head("crit", []string{"b64"}),
		"expired":                set("exp", issued.Add(-6*time.Second).Unix()),
		"nbf in the future":      set("nbf", issued.Add(6*time.Second).Unix()),
		"iat in the future":      set("iat", issued.Add(time.Minute).Unix()),
		"exp a text":             set("exp", "2030"),
		"another issuer":         set("iss", "other"),
		"another audience":       set("aud", "other"),
		"no audiences":           set("aud", []string{}),
		"an empty user":          set("sub", ""),
		"tampered claims":        parts[0] + "." + encode(t, map[string]any{"sub": "other"}) + "." + parts[2],
		"tampered signature":     parts[0] + "." + parts[1] + "." + flip(parts[2]),
		"no signature":           parts[0] + "." + parts[1] + ".",
		"two parts":              parts[0] + "." + parts[1],
		"four parts":             good + ".x",
		"two tokens":             good + good,
		"with a space":           good + " ",
		"padded":                 good + "=",
		"10 KiB, signed":         set("x", strings.Repeat("x", 10*1024)),
		"10 KiB of dots":         strings.Repeat(".", 10*1024),
		"empty":                  "",
		"not JSON":               "e30.bm90IGpzb24.e30",
	}
	for _, name := range []string{"iss", "aud", "sub", "sid", "tenant", "iat", "nbf", "exp"} {
		cases["without "+name] = hs(func(_, c map[string]any) { delete(c, name) })
	}
	for name, text := range cases {
		if err := keys.Verify(text, issued); err == nil {
			t.Errorf("%s: verifies", name)
		}
	}
}

func TestAccessToken_AllowsClocksToDifferALittle(t *testing.T) {
	t.Parallel()
	keys := ring(t, "a=hs256:"+hsKey)
	token, err := keys.Sign("u", "default", "s", issued)
	if err != nil {
		t.Fatal(err)
	}
	for after, good := range map[time.Duration]bool{
		-6 * time.Second: false, -4 * time.Second: true, 0: true, 15*time.Minute + 4*time.Second: true, 15*time.Minute + 6*time.Second: false,
	} {
		if err := keys.Verify(token, issued.Add(after)); (err == nil) != good {
			t.Errorf("%v after it was issued: %v", after, err)
		}
	}
}

func encode(t testing.TB, v map[string]any) string {
	t.Helper()
	text, err := json.Marshal(maps.Clone(v))
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// flip changes the first character: the last has bits that mean nothing.
func flip(s string) string {
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}

func FuzzAccessToken(f *testing.F) {
	keys := ring(f, "a=hs256:"+hsKey+",e=ed25519:"+edSeed)
	good := forge(f, jwt.SigningMethodHS256, []byte(seed32), nil)
	f.Add(good)
	f.Add(forge(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil))
	f.Add("e30.e30.e30")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		// Nobody guesses a signature: what verifies is what was signed.
		if err := keys.Verify(text, issued); err == nil && text != good {
			t.Errorf("%q verifies", text)
		}
	})
}
