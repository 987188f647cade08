package auth_test

import (
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/auth"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	s := strings.Repeat("s", 32)
	for text, good := range map[string]bool{
		"wb_abc_" + s:                             true,
		"wb_A1_" + s[:30] + "_-":                  true,
		"wb_" + strings.Repeat("a", 32) + "_" + s: true,
		"wb_" + strings.Repeat("a", 33) + "_" + s: false,
		"wb_abc_" + strings.Repeat("s", 256):      true,
		"wb_abc_" + strings.Repeat("s", 257):      false,
		"wb_abc_" + s[1:]:                         false,
		"wb__" + s:                                false,
		"wb_" + s:                                 false,
		"WB_abc_" + s:                             false,
		" wb_abc_" + s:                            false,
		"wb_abc_" + s + " ":                       false,
		"wb_abc_" + s + "\n":                      false,
		"wb_abc_" + s + "é":                       false,
		"wb_a-c_" + s:                             false,
		"wb_\u00e4_" + s:                          false,
		"wb_abc_" + s + "\x7f":                    false,
		"":                                        false,
		"wb_":                                     false,
		"eyJhbGciOiJIUzI1NiJ9.e30.":               false,
		"wb_abc_" + strings.Repeat("\"<>&'", 7):   true,
		"wb_abc_" + strings.Repeat("s", 31) + "\xff": false,
	} {
		id, secret, ok := auth.ParseKey(text)
		if ok != good || ok && "wb_"+id+"_"+secret != text || !ok && id+secret != "" {
			t.Errorf("ParseKey(%q) = %q, %q, %v; want %v", text, id, secret, ok, good)
		}
		if err := auth.CheckAdminKey(text); (err == nil) != good {
			t.Errorf("CheckAdminKey(%q) = %v", text, err)
		} else if err != nil && len(text) > 12 && strings.Contains(err.Error(), text[7:]) {
			t.Errorf("CheckAdminKey shows the key: %v", err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{"wb_abc_" + strings.Repeat("s", 32), "wb_a_b_c", "wb__", "", "wb_a_" + strings.Repeat("_", 40)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, secret, ok := auth.ParseKey(text)
		if ok && ("wb_"+id+"_"+secret != text || strings.Contains(id, "_") || len(secret) < 32 || len(text) > 3+32+1+256) {
			t.Errorf("ParseKey(%q) = %q, %q", text, id, secret)
		}
	})
}
