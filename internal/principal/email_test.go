package principal_test

import (
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/principal"
)

func TestEmailKey_ComparesWhatLooksAlike(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"ada@example.com":             "ada@example.com",
		"Ada@EXAMPLE.com":             "ada@example.com",
		"a\u0308da@example.com":       "äda@example.com", // decomposed
		"Äda@example.com":             "äda@example.com",
		"ａｄａ@example.com":             "ada@example.com", // full width
		"STRASSE@example.com":         "strasse@example.com",
		"straße@example.com":          "strasse@example.com",
		"ada+waybill@sub.example.com": "ada+waybill@sub.example.com",
	} {
		if key, err := principal.EmailKey(given); err != nil || key != want {
			t.Errorf("EmailKey(%q) = %q, %v; want %q", given, key, err, want)
		}
	}
}

func TestEmailKey_RefusesWhatIsNoPlainAddress(t *testing.T) {
	t.Parallel()
	for _, given := range []string{
		"", "ada", "@example.com", "ada@", "ada@@example.com", "ada @example.com", " ada@example.com", "ada@example.com ",
		"Ada <ada@example.com>", "<ada@example.com>", "ada@example.com (Ada)", "ada@example.com, bob@example.com",
		"ada@example.com\r\nBcc: bob@example.com", "ada\x00@example.com", "a\u200bda@example.com", "ada\xff@example.com",
		"ada＠b@example.com", // folds to a second @
		strings.Repeat("a", 250) + "@example.com",
		strings.Repeat("ﷺ", 10) + "@example.com",
	} {
		if key, err := principal.EmailKey(given); err == nil {
			t.Errorf("EmailKey(%q) = %q, want an error", given, key)
		}
	}
}

func FuzzEmailKey(f *testing.F) {
	for _, seed := range []string{"ada@example.com", "ÄDA@exämple.com", "Ada <ada@example.com>", "\"a b\"@example.com", "a@[127.0.0.1]", "ŉ@ǰ.com", "ͅα@b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, given string) {
		key, err := principal.EmailKey(given)
		if err != nil {
			return
		}
		if len(key) > 254 || strings.ContainsAny(key, " \r\n\x00") || strings.Count(key, "@") != 1 {
			t.Errorf("EmailKey(%q) = %q", given, key)
		}
		if again, err := principal.EmailKey(key); err != nil || again != key {
			t.Errorf("EmailKey(%q) = %q, whose key is %q, %v", given, key, again, err)
		}
	})
}
