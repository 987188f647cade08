package webhook_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/notifytest"
	"github.com/waybill-dev/waybill/internal/notify/webhook"
)

func TestSender_SaysWhyItFailed(t *testing.T) {
	t.Parallel()
	authority := notifytest.NewAuthority(t)
	answer := func(status int) notifytest.Receiver {
		return notifytest.Serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	raw := func(text string) notifytest.Receiver {
		return notifytest.Raw(t, func(conn net.Conn) {
			if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			_, _ = io.WriteString(conn, text)
		})
	}
	patient := channel(t, webhook.Options{Allow: loopback, Resolver: resolver().resolver()})
	hasty := channel(t, webhook.Options{Allow: loopback, Timeout: 500 * time.Millisecond})
	secure := notifytest.ServeTLS(t, authority.Certificate(t, "127.0.0.1", time.Now().Add(time.Hour)), func(http.ResponseWriter, *http.Request) {})
	for _, f := range []struct{ url, want string }{
		{answer(500).URL, "answered 500"},
		{answer(302).URL, "answered 302: redirects are not followed"},
		{answer(410).URL, "answered 410: the receiver wants no more"},
		{notifytest.Refused(t).URL, "connection refused"},
		{"http://unknown.example/", "no such host"},
		{"http://10.0.0.1/", "the address 10.0.0.1 is not allowed"},
		{"http://[fd00::1]/", "the address fd00::1 is not allowed"},
		{secure.URL, "TLS: certificate signed by unknown authority"},
		{strings.Replace(answer(200).URL, "http:", "https:", 1), "TLS: the answer is plain HTTP"},
		{raw("").URL, "connection closed without an answer"},
		{raw("hello\r\n\r\n").URL, "the answer is not HTTP"},
		{raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20)).URL, "the headers of the answer are larger than 64 KiB"},
		{notifytest.Raw(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }).URL, "timed out"},
	} {
		began := time.Now()
		c := patient
		if f.want == "timed out" {
			c = hasty
		}
		got := sender(t, c, f.url, nil).Send(t.Context(), notifytest.Message())
		why, wait, timed := strings.Cut(got.Error, " after ")
		if d, err := time.ParseDuration(wait); timed && (err != nil || d < 500*time.Millisecond || d > 5*time.Second) {
			t.Errorf("%s: %q", f.url, got.Error)
		}
		if why != f.want {
			t.Errorf("%s: %q, want %q", f.url, got.Error, f.want)
		}
		if got.OK || got.Gone != (got.Status == 410) || got.Permanent != (got.Status == 410) {
			t.Errorf("%+v", got)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: took %v", f.url, took)
		}
	}
}

// TestSender_EndsByItself is about receivers that never end, without a deadline
// from outside.
func TestSender_EndsByItself(t *testing.T) {
	t.Parallel()
	c := channel(t, webhook.Options{Allow: loopback, Timeout: 300 * time.Millisecond})
	for _, status := range []int{200, 500} {
		r := notifytest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "begun")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		var got notify.Result
		for range 30 { // a busy machine may not even come to the status in time
			if got = sender(t, c, r.URL, nil).Send(t.Context(), notifytest.Message()); got.Status != 0 {
				break
			}
		}
		if got.Status != status || string(got.Reply) != "begun" || got.OK != (status == 200) {
			t.Errorf("%d: %+v", status, got)
		}
	}
}

func TestSender_PassesRetryAfterOn(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 503, 500, 302, 404} {
		r := notifytest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "90")
			w.WriteHeader(status)
		})
		if got := sender(t, local(t), r.URL, nil).Send(t.Context(), notifytest.Message()); got.RetryAfter != 90*time.Second {
			t.Errorf("%d: %+v", status, got)
		}
	}
}

func TestSender_ReusesConnections(t *testing.T) {
	t.Parallel()
	remotes := make(chan string, 64)
	r := notifytest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		remotes <- r.RemoteAddr
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, strings.Repeat("x", notify.MaxReply))
	})
	c := local(t)
	seen := map[string]bool{}
	for range 32 {
		sender(t, c, r.URL, nil).Send(t.Context(), notifytest.Message())
		seen[<-remotes] = true
	}
	if len(seen) > 2 { // the first may be busy for a moment yet
		t.Errorf("32 requests took %d connections", len(seen))
	}
}

// TestSender_SurvivesAClosedConnection is about a receiver that closes connections
// after an answer without saying so: the next event must not fail for it.
func TestSender_SurvivesAClosedConnection(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	r := notifytest.Raw(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for i := range 2 {
			r, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if i == 1 {
				return // closed under the second request
			}
			requests.Add(1)
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
		}
	})
	s := sender(t, local(t), r.URL, nil)
	for range 8 {
		if got := s.Send(t.Context(), notifytest.Message()); !got.OK {
			t.Errorf("%+v", got)
		}
	}
	if requests.Load() != 8 {
		t.Errorf("%d requests were answered, want 8", requests.Load())
	}
}

func TestSender_RefusesPlainHTTPLater(t *testing.T) {
	t.Parallel()
	r := notifytest.Serve(t, func(http.ResponseWriter, *http.Request) { t.Error("was reached") })
	c := channel(t, webhook.Options{Allow: loopback, HTTPSOnly: true})
	if got := sender(t, c, r.URL, nil).Send(t.Context(), notifytest.Message()); got.Error != "plain HTTP is not allowed" {
		t.Errorf("%+v", got)
	}
}

func TestSender_IgnoresTheEnvironmentsProxy(t *testing.T) {
	t.Parallel()
	if p := local(t).Transport().Proxy; p != nil {
		t.Error("there is a proxy")
	}
}

// TestSender_UsesTheProxy has a proxy on the loopback, which the guard exempts, and
// targets that it does not.
func TestSender_UsesTheProxy(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 16)
	p := notifytest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.RequestURI + " " + r.Header.Get("Proxy-Authorization")
		if r.Method == http.MethodConnect {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = io.WriteString(w, "proxied for p4ssw0rd")
	})
	proxy, err := url.Parse(strings.Replace(p.URL, "http://", "http://us3r:p4ssw0rd@", 1))
	if err != nil {
		t.Fatal(err)
	}
	n := resolver()
	c := channel(t, webhook.Options{Proxy: proxy, Resolver: n.resolver()})
	for _, f := range []struct{ url, want, asked string }{
		{"http://public.example/a", "", "POST http://public.example/a Basic dXMzcjpwNHNzdzByZA=="},
		{"https://public.example/a", "the proxy answered 403", "CONNECT public.example:443 Basic dXMzcjpwNHNzdzByZA=="},
		{"http://both.example/a", "the address 10.0.0.1 is not allowed", ""},
		{"http://mapped.example/a", "the address 127.0.0.1 is not allowed", ""},
		{"http://127.0.0.1:8080/a", "the address 127.0.0.1 is not allowed", ""},
		{"http://unknown.example/a", "no such host", ""},
	} {
		got := sender(t, c, f.url, nil).Send(t.Context(), notifytest.Message())
		notifytest.NoSecret(t, got, "p4ssw0rd", whsec)
		if got.Error != f.want {
			t.Errorf("%s: %+v, want %q", f.url, got, f.want)
		}
		if f.asked == "" {
			continue
		}
		if request := <-asked; request != f.asked {
			t.Errorf("%s: the proxy was asked %q, want %q", f.url, request, f.asked)
		}
	}
	if len(asked) > 0 {
		t.Errorf("the proxy was asked for what is refused: %q", <-asked)
	}
}
