package auth_test

import (
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/fault"
)

func TestCheckPassword_Bounds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		password string
		good     bool
	}{
		"12 characters":                 {"twelve chars", true},
		"11 characters":                 {"eleven char", false},
		"12 characters of 4 bytes":      {strings.Repeat("😀", 12), true},
		"11 characters of 4 bytes":      {strings.Repeat("😀", 11), false},
		"12 that normalise to 6":        {strings.Repeat("a\u0308", 6), false},
		"1,024 bytes":                   {strings.Repeat("x", 1024), true},
		"1,025 bytes":                   {strings.Repeat("x", 1025), false},
		"not UTF-8":                     {strings.Repeat("\xff", 20), false},
		"the address":                   {email, false},
		"the address in capitals":       {strings.ToUpper(email), false},
		"the address in full width":     {"ａｄａ@example.com", false},
		"the address with spaces":       {" " + email + " ", false},
		"the address and a little more": {email + "!!", true},
		"empty":                         {"", false},
	} {
		err := auth.CheckPassword(email, c.password)
		if c.good && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !c.good {
			want(t, err, fault.InvalidRecord, "body.password")
		}
	}
}

const (
	goodHash  = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	cheapHash = "$argon2id$v=19$m=8192,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)

func TestParseHash_KnowsWhatIsTooCheap(t *testing.T) {
	t.Parallel()
	for hash, cheap := range map[string]bool{goodHash: false, cheapHash: true, strings.Replace(goodHash, "t=2", "t=3", 1): false} {
		if again, got, err := auth.ParseHash(hash); err != nil || again != hash || got != cheap {
			t.Errorf("ParseHash(%q) = %q, %v, %v; want cheap %v", hash, again, got, err, cheap)
		}
	}
}

func TestParseHash_RefusesWhatIsMalformedOrAbsurd(t *testing.T) {
	t.Parallel()
	replace := func(old, next string) string { return strings.Replace(goodHash, old, next, 1) }
	for _, hash := range []string{
		"", "x", "$2a$10$abc", replace("argon2id", "argon2i"), replace("v=19", "v=16"), replace("m=19456", "m=4294967295"), replace("m=19456", "m=7"),
		replace("m=19456", "m=99999999999"), replace("m=19456", "m=-1"), replace("m=19456", "m=+19456"), replace("m=19456", "m=019456"), replace("t=2", "t=0"),
		replace("t=2", "t=1000000"), replace("p=1", "p=0"), replace("p=1", "p=255"), replace("p=1", "p=1,x=1"), goodHash + "$", goodHash + "=", goodHash + "\n",
		replace("$AAAAAAAAAAAAAAAAAAAAAA$", "$$"), replace("$AAAAAAAAAAAAAAAAAAAAAA$", "$AAAAAAAAAAAAAAAAAAAAAB$"), // bits that mean nothing
		goodHash[:strings.LastIndex(goodHash, "$")+1], goodHash + strings.Repeat("A", 600),
	} {
		if again, _, err := auth.ParseHash(hash); err == nil {
			t.Errorf("ParseHash(%q) = %q", hash, again)
		}
	}
}

func FuzzPasswordHash(f *testing.F) {
	for _, seed := range []string{goodHash, cheapHash, "", "$argon2id$v=19$m=19456,t=2,p=1$$", "$argon2id$v=19$m=99999999999,t=2,p=1$AAAA$AAAA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if again, _, err := auth.ParseHash(text); err == nil && again != text {
			t.Errorf("%q is written again as %q", text, again)
		}
	})
}
