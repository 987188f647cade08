package queueui

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"strings"
)

var inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

// policyOf returns the Content-Security-Policy under which asynqmon's page works:
// its files, its own API, and its two inline scripts, known by their hashes, which
// are taken from the page as it is served. Its styles are made by scripts, so
// styles may be inline. The fonts that it asks Google for are refused, and the
// browser's own take their place: looking at a queue tells nobody.
func policyOf(mon http.Handler) (string, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, Root+"/", http.NoBody)
	if err != nil {
		return "", fmt.Errorf("asynqmon's page: %w", err)
	}
	page := &answer{header: http.Header{}}
	mon.ServeHTTP(page, r)
	scripts := inlineScript.FindAllSubmatch(page.body.Bytes(), -1)
	if !page.isPage() || len(scripts) == 0 {
		return "", errors.New("asynqmon's page is not what it was: it has no inline script")
	}
	sources := []string{"'self'"}
	for _, script := range scripts {
		hash := sha256.Sum256(script[1])
		sources = append(sources, "'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'")
	}
	return "default-src 'none'; script-src " + strings.Join(sources, " ") + "; style-src 'self' 'unsafe-inline'; font-src 'self' data:; " +
		"img-src 'self' data:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", nil
}

// protect sets the headers that every answer has.
func (h *Handler) protect(header http.Header) {
	header.Set("Content-Security-Policy", h.policy)
	header.Set("X-Frame-Options", "DENY")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
}

// isPage reports whether an answer is asynqmon's page, which it gives to every
// path that it does not know.
func (a *answer) isPage() bool { return bytes.HasPrefix(a.body.Bytes(), []byte("<!doctype html>")) }

// label gives an answer the type that asynqmon leaves to be guessed, or guesses
// wrongly, and lets files whose names change with what is in them be kept.
func (a *answer) label(r *http.Request) {
	kind := map[string]string{".svg": "image/svg+xml", ".map": "application/json", ".json": "application/manifest+json"}[path.Ext(r.URL.Path)]
	switch {
	case a.body.Len() == 0 || a.status != http.StatusOK:
		return
	case a.isPage():
		kind = "text/html; charset=utf-8"
	case inAPI(r):
		kind = "application/json"
	}
	if kind != "" {
		a.header.Set("Content-Type", kind)
	}
	if isStatic(r) {
		a.header.Set("Cache-Control", "private, max-age=31536000, immutable")
	}
}

func isStatic(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, Root+"/static/") }
