package httpapi

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/fault"
)

// sensitive are the headers that every answer has.
var sensitive = map[string]string{
	"Content-Security-Policy":    "default-src 'none'; frame-ancestors 'none'",
	"X-Frame-Options":            "DENY",
	"Referrer-Policy":            "no-referrer",
	"Cross-Origin-Opener-Policy": "same-origin",
	"Permissions-Policy":         "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

// refuse answers like API.fail, as far as it matters here.
func refuse(w http.ResponseWriter, _ *http.Request, err error) {
	kind := fault.KindOf(err)
	writeProblem(w, &problem{Status: statusOf[kind], Code: kind, Detail: err.Error()})
}

// behind returns next behind o, which need not say how to refuse.
func behind(t testing.TB, o BrowserOptions, next http.HandlerFunc) http.Handler {
	t.Helper()
	o.problem, o.preflight = refuse, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	h, err := o.wrap(next)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func teapot(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }

// ask sends a request with these headers, to https://api.example without TLS of
// our own, and checks that the answer has what every answer has.
func ask(t *testing.T, h http.Handler, method string, header map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r, w := httptest.NewRequestWithContext(t.Context(), method, "http://api.example/api/messages", nil), httptest.NewRecorder()
	for name, value := range header {
		r.Header.Set(name, value)
	}
	h.ServeHTTP(w, r)
	for name, want := range sensitive {
		if got := w.Header().Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s %v: %s is %q, want %q once", method, header, name, got, want)
		}
	}
	return w
}

func TestBrowserOptions_RefusesWhatOtherOriginsPagesSend(t *testing.T) {
	t.Parallel()
	h := behind(t, BrowserOptions{CORSOrigins: []string{"https://app.example", "http://localhost:3000"}, PublicURL: "https://W.example:443/waybill"}, teapot)
	for name, c := range map[string]struct {
		origin, site string
		allowed      bool
	}{
		"no browser":                            {"", "", true},
		"a page of ours":                        {"https://api.example", "same-origin", true},
		"a page of ours, an old browser":        {"https://api.example", "", true},
		"the address bar":                       {"", "none", true},
		"an allowed origin":                     {"https://app.example", "cross-site", true},
		"an allowed origin, old browser":        {"https://app.example", "", true},
		"an allowed origin with a port":         {"http://localhost:3000", "same-site", true},
		"the public URL":                        {"https://w.example", "cross-site", true},
		"another origin":                        {"https://evil.example", "cross-site", false},
		"another origin, old browser":           {"https://evil.example", "", false},
		"a neighbour":                           {"https://other.api.example", "same-site", false},
		"an allowed origin, without TLS":        {"http://app.example", "cross-site", false},
		"an allowed origin, at another port":    {"https://app.example:8443", "cross-site", false},
		"under an allowed origin":               {"https://x.app.example", "cross-site", false},
		"something that begins like an allowed": {"https://app.example.evil.example", "cross-site", false},
		"no origin to tell":                     {"null", "", false},
		"no origin to tell, from elsewhere":     {"null", "cross-site", false},
		"from elsewhere, without an origin":     {"", "cross-site", false},
	} {
		header := map[string]string{}
		if c.origin != "" {
			header["Origin"] = c.origin
		}
		if c.site != "" {
			header["Sec-Fetch-Site"] = c.site
		}
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			w := ask(t, h, method, header)
			switch {
			case c.allowed && w.Code != http.StatusTeapot:
				t.Errorf("%s, %s: %d", name, method, w.Code)
			case !c.allowed && (w.Code != http.StatusForbidden || w.Header().Get("Content-Type") != "application/problem+json" || !strings.Contains(w.Body.String(), `"forbidden"`)):
				t.Errorf("%s, %s: %d %s", name, method, w.Code, w.Body)
			}
		}
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} { // change nothing; what is read there, CORS keeps from pages
			if w := ask(t, h, method, header); w.Code != http.StatusTeapot {
				t.Errorf("%s, %s: %d", name, method, w.Code)
			}
		}
	}
}

// corsHeaders returns the headers of CORS in an answer, and what it varies by.
func corsHeaders(w *httptest.ResponseRecorder) string {
	var all []string
	for _, name := range []string{"Allow-Origin", "Allow-Methods", "Allow-Headers", "Max-Age", "Allow-Credentials", "Expose-Headers", "Allow-Private-Network"} {
		for _, value := range w.Header().Values("Access-Control-" + name) {
			all = append(all, name+"="+value)
		}
	}
	return strings.Join(append(all, "Vary="+strings.Join(w.Header().Values("Vary"), "|")), "; ")
}

func TestBrowserOptions_CORS(t *testing.T) {
	t.Parallel()
	h := behind(t, BrowserOptions{CORSOrigins: []string{"https://app.example"}, PublicURL: "https://w.example"}, teapot)
	const (
		asks    = "Vary=Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
		exposed = "Expose-Headers=Etag, Location, Idempotency-Replayed, Preference-Applied, Ratelimit, Ratelimit-Policy, Retry-After, Waybill-Operation, X-Request-Id"
	)
	for name, c := range map[string]struct {
		method, origin, wants, sends string
		status                       int
		headers                      string
	}{
		"no browser":              {"GET", "", "", "", 418, "Vary=Origin"},
		"read":                    {"GET", "https://app.example", "", "", 418, "Allow-Origin=https://app.example; " + exposed + "; Vary=Origin"},
		"write":                   {"POST", "https://app.example", "", "", 418, "Allow-Origin=https://app.example; " + exposed + "; Vary=Origin"},
		"read from elsewhere":     {"GET", "https://evil.example", "", "", 418, "Vary=Origin"},
		"write from elsewhere":    {"POST", "https://evil.example", "", "", 403, "Vary=Origin"},
		"our own address":         {"POST", "https://w.example", "", "", 418, "Vary=Origin"},
		"OPTIONS alone":           {"OPTIONS", "", "", "", 418, "Vary=Origin"},
		"preflight":               {"OPTIONS", "https://app.example", "PATCH", "", 204, "Allow-Origin=https://app.example; Allow-Methods=PATCH; Max-Age=600; " + asks},
		"preflight of all we let": {"OPTIONS", "https://app.example", "POST", allSent, 204, "Allow-Origin=https://app.example; Allow-Methods=POST; Allow-Headers=" + allSent + "; Max-Age=600; " + asks},
		"preflight, other header": {"OPTIONS", "https://app.example", "POST", "authorization,x-other", 204, asks},
		"preflight, other method": {"OPTIONS", "https://app.example", "TRACE", "", 204, asks},
		"preflight of elsewhere":  {"OPTIONS", "https://evil.example", "POST", "", 204, asks},
		"preflight of nobody":     {"OPTIONS", "null", "POST", "", 204, asks},
	} {
		header := map[string]string{}
		for name, value := range map[string]string{"Origin": c.origin, "Access-Control-Request-Method": c.wants, "Access-Control-Request-Headers": c.sends} {
			if value != "" {
				header[name] = value
			}
		}
		w := ask(t, h, c.method, header)
		if got := corsHeaders(w); w.Code != c.status || got != c.headers {
			t.Errorf("%s: %d %s\nwant %d %s", name, w.Code, got, c.status, c.headers)
		}
	}
}

// allSent is what a browser asks for that wants to send all we let it.
const allSent = "authorization,content-type,idempotency-key,if-match,if-none-match,last-event-id,prefer,waybill-tenant,x-request-id"

func TestBrowserOptions_WithoutOriginsThereIsNoCORS(t *testing.T) {
	t.Parallel()
	h := behind(t, BrowserOptions{}, teapot)
	for _, header := range []map[string]string{
		{"Origin": "https://app.example"}, {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"},
	} {
		for _, method := range []string{"GET", "OPTIONS"} {
			w := ask(t, h, method, header)
			if got := corsHeaders(w); w.Code != http.StatusTeapot || got != "Vary=" {
				t.Errorf("%s %v: %d %s", method, header, w.Code, got)
			}
		}
	}
}

func TestBrowserOptions_HSTSWhereTLSIsSpoken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o     BrowserOptions
		tls   bool
		proto string
		want  string
	}{
		"plain":                {},
		"TLS":                  {tls: true, want: "max-age=31536000"},
		"the public URL":       {o: BrowserOptions{PublicURL: "https://w.example"}, want: "max-age=31536000"},
		"a plain public URL":   {o: BrowserOptions{PublicURL: "http://w.example"}},
		"a trusted proxy":      {o: BrowserOptions{Trusted: proxies}, proto: "https", want: "max-age=31536000"},
		"a trusted proxy, not": {o: BrowserOptions{Trusted: proxies}, proto: "http"},
		"anybody says so":      {proto: "https"},
	} {
		r, w := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.example/", nil), httptest.NewRecorder() // from 192.0.2.1
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if c.proto != "" {
			r.Header.Set("X-Forwarded-Proto", c.proto)
		}
		behind(t, c.o, teapot).ServeHTTP(w, r)
		if got := w.Header().Get("Strict-Transport-Security"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestBrowserOptions_APageReplacesHeaders_ForItselfAlone(t *testing.T) {
	t.Parallel()
	page := true
	h := behind(t, BrowserOptions{CORSOrigins: []string{"https://app.example"}}, func(w http.ResponseWriter, _ *http.Request) {
		if page {
			w.Header().Set("Content-Security-Policy", "default-src 'self'")
			w.Header().Set("Referrer-Policy", "same-origin")
			w.Header().Add("Vary", "Accept")
		}
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if w.Header().Get("Content-Security-Policy") != "default-src 'self'" || w.Header().Get("Referrer-Policy") != "same-origin" || len(w.Header().Values("Vary")) != 2 {
		t.Errorf("the page's headers are %v", w.Header())
	}
	page = false
	if vary := ask(t, h, http.MethodGet, nil).Header().Values("Vary"); len(vary) != 1 {
		t.Errorf("the next answer varies by %q", vary)
	}
}

func TestBrowserOptions_BadOnesAreRefused(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]BrowserOptions{
		"everybody":              {problem: refuse, preflight: teapot, CORSOrigins: []string{"*"}},
		"a pattern":              {problem: refuse, preflight: teapot, CORSOrigins: []string{"https://*.example"}},
		"null":                   {problem: refuse, preflight: teapot, CORSOrigins: []string{"null"}},
		"a path":                 {problem: refuse, preflight: teapot, CORSOrigins: []string{"https://a.example/"}},
		"no host":                {problem: refuse, preflight: teapot, PublicURL: "https://"},
		"nobody answers refusal": {preflight: teapot},
		"nobody answers CORS":    {problem: refuse},
	} {
		if _, err := o.wrap(http.NotFoundHandler()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func BenchmarkBrowserOptions(b *testing.B) {
	for name, o := range map[string]BrowserOptions{
		"without CORS": {PublicURL: "https://w.example"}, "with CORS": {CORSOrigins: []string{"https://app.example"}},
		"bare": {},
	} {
		b.Run(name, func(b *testing.B) {
			h := http.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			if name != "bare" {
				h = behind(b, o, h.ServeHTTP)
			}
			r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/api/messages", nil)
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(&headers{h: http.Header{}}, r)
			}
		})
	}
}

// headers is a ResponseWriter that costs as little as can be.
type headers struct {
	http.ResponseWriter
	h http.Header
}

func (h *headers) Header() http.Header { return h.h }
