package httpapi_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/httpapi"
	"github.com/waybill-dev/waybill/internal/limit"
)

// hourly lets n through, and then none within a test.
func hourly(n int) *limit.Limiter { return limit.New(collection.Rate{N: n, Per: time.Hour}, 100) }

func metered(l httpapi.Limits, more ...netip.Prefix) setting {
	return func(o *settings) { o.limits, o.proxies = l, more }
}

func (a *answer) overLimit() {
	a.t.Helper()
	a.problem(429, "rate_limited")
	if a.header.Get("Retry-After") == "" || a.header.Get("Retry-After") == "0" {
		a.t.Errorf("%s: Retry-After is %q", a.what, a.header.Get("Retry-After"))
	}
}

func TestLimits_ReadsAndWritesAreCountedByPrincipal(t *testing.T) {
	t.Parallel()
	s := newService(t, metered(httpapi.Limits{Reads: hourly(2), Writes: hourly(3)}))
	s.get("/api/messages").want(200).wantHeader("RateLimit-Policy", `"reads";q=2;w=3600`).wantHeader("RateLimit", `"reads";r=1;t=1800`)
	s.get("/api/messages").want(200)
	a := s.get("/api/messages")
	a.overLimit()
	a.wantHeader("RateLimit-Policy", `"reads";q=2;w=3600`)
	s.get("/api/messages", nobody).want(200) // somebody else

	s.bulk("/api/messages", ndjson(10, 0, "")).want(202) // more than is there: it goes into debt
	s.post("/api/messages", `{"content":"x"}`).overLimit()
	s.post("/api/messages", `{"content":"x"}`, nobody).want(202)
}

func TestLimits_AddressesBehindATrustedProxy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trusted []netip.Prefix
		second  int
	}{
		"trusted":     {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, 200},
		"not trusted": {nil, 429},
	} {
		s := newService(t, metered(httpapi.Limits{Reads: hourly(1)}, c.trusted...))
		s.get("/api/messages", nobody, "X-Forwarded-For: 192.0.2.1").want(200)
		if a := s.get("/api/messages", nobody, "X-Forwarded-For: 192.0.2.2"); a.status != c.second {
			t.Errorf("%s: %d, want %d", name, a.status, c.second)
		}
		s.get("/api/messages", nobody, "X-Forwarded-For: 192.0.2.1").overLimit()
	}
}

func TestLimits_FailedLoginsCount_GoodOnesDoNot(t *testing.T) {
	t.Parallel()
	s := newService(t, metered(httpapi.Limits{Login: hourly(2)}))
	s.register("ada@example.com")
	for range 4 {
		s.login("ada@example.com")
	}
	for range 2 {
		s.post("/api/auth/login", account("ADA@example.com", "a wrong password"), nobody).refused()
	}
	s.post("/api/auth/login", account("ada@example.com", password), nobody).overLimit()
	s.post("/api/auth/login", account("bob@example.com", password), nobody).refused()
}

func TestLimits_BadCredentialsBarAnAddress(t *testing.T) {
	t.Parallel()
	s := newService(t, metered(httpapi.Limits{Auth: hourly(3)}))
	for range 3 {
		s.get("/api/me", bearer("nonsense")).refused()
	}
	s.get("/api/me").overLimit()
	s.post("/api/auth/login", account("ada@example.com", password), nobody).overLimit()
	s.get("/api/messages", nobody).want(200)
}

func TestLimits_OfACollection(t *testing.T) {
	t.Parallel()
	s := newService(t, func(o *settings) { o.config = "testdata/limited.yaml" })
	s.post("/api/notes", `{"text":"x"}`).want(202).wantHeader("RateLimit-Policy", `"notes";q=1;w=3600`)
	s.post("/api/notes", `{"text":"x"}`).overLimit()
	s.get("/api/notes").want(200).wantHeader("RateLimit", "").wantHeader("RateLimit-Policy", "")
}
