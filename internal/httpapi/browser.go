package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/rs/cors"

	"github.com/waybill-dev/waybill/internal/fault"
)

// BrowserOptions say what browsers are told, and whose pages they may be used from.
type BrowserOptions struct {
	CORSOrigins []string       // scheme://host[:port], as browsers write them; none: no CORS at all
	PublicURL   string         // where we are reached from outside; "" if unknown
	Trusted     []netip.Prefix // proxies whose X-Forwarded-Proto is believed
	// problem answers a request that is refused.
	problem func(w http.ResponseWriter, r *http.Request, err error)
	// preflight answers what CORS asks first, with a status: the headers are there.
	preflight http.HandlerFunc
}

// wrap returns next behind what protects browsers, from outside to inside:
// security headers on every answer, CORS for the origins allowed, and a refusal
// (fault.Forbidden) of what pages of other origins make a browser send. Programs
// other than browsers notice nothing.
func (o BrowserOptions) wrap(next http.Handler) (http.Handler, error) {
	h, err := o.protect(next)
	if err != nil {
		return nil, err
	}
	return o.secure(o.allow(h)), nil
}

// Values of headers, as slices that are shared by all answers: nobody changes
// them, and what a handler sets or adds is a slice of its own.
var (
	noContent   = []string{"default-src 'none'; frame-ancestors 'none'"}
	deny        = []string{"DENY"}
	noReferrer  = []string{"no-referrer"}
	sameOrigin  = []string{"same-origin"}
	noFeatures  = []string{"camera=(), geolocation=(), microphone=(), payment=(), usb=()"}
	oneYearHSTS = []string{"max-age=31536000"}
)

// secure sets the headers of an answer that is no page. A handler of pages
// replaces Content-Security-Policy, and Referrer-Policy by same-origin if a form
// is on it: under no-referrer a browser sends the form with "Origin: null", and
// without TLS nothing else tells that it is ours.
func (o BrowserOptions) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Content-Security-Policy"] = noContent
		h["X-Frame-Options"] = deny
		h["Referrer-Policy"] = noReferrer
		h["Cross-Origin-Opener-Policy"] = sameOrigin
		h["Permissions-Policy"] = noFeatures
		if isHTTPS(r, o.Trusted, o.PublicURL) {
			h["Strict-Transport-Security"] = oneYearHSTS
		}
		next.ServeHTTP(w, r)
	})
}

// What CORS lets pages of other origins send and see.
var (
	corsMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	corsSent    = []string{
		"Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Prefer", "Last-Event-ID",
		"Traceparent", "Tracestate", "Waybill-Tenant", "X-Request-Id",
	}
	corsSeen = []string{
		"ETag", "Location", "Idempotency-Replayed", "Preference-Applied", "RateLimit", "RateLimit-Policy", "Retry-After", "Waybill-Operation", "X-Request-Id",
	}
)

const corsMaxAge = 10 * time.Minute

// allow adds CORS. Cookies are not for other origins' pages: those show a token
// or a key.
func (o BrowserOptions) allow(next http.Handler) http.Handler {
	if len(o.CORSOrigins) == 0 {
		return next // for rs/cors an empty list is everybody
	}
	return cors.New(cors.Options{
		AllowedOrigins: o.CORSOrigins, AllowedMethods: corsMethods, AllowedHeaders: corsSent, ExposedHeaders: corsSeen,
		MaxAge: int(corsMaxAge / time.Second), OptionsPassthrough: true,
	}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" { // as rs/cors tells it
			o.preflight(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// protect refuses what other origins' pages send, save those allowed.
func (o BrowserOptions) protect(next http.Handler) (http.Handler, error) {
	if o.problem == nil || o.preflight == nil {
		return nil, errors.New("browsers: nobody answers what goes no further")
	}
	var protection http.CrossOriginProtection
	for _, origin := range o.CORSOrigins {
		if strings.Contains(origin, "*") {
			return nil, fmt.Errorf("CORS: %q is not one origin", origin)
		}
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("CORS: %w", err)
		}
	}
	if o.PublicURL != "" {
		if err := protection.AddTrustedOrigin(originOf(o.PublicURL)); err != nil {
			return nil, fmt.Errorf("public URL: %w", err)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := protection.Check(r); err != nil {
			o.problem(w, r, fault.Wrap(fault.Forbidden, err, "the request comes from a page of another origin, which is not among those allowed"))
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}

// originOf returns the origin of a URL as browsers write it; "" if it has none.
func originOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ""
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host
}
