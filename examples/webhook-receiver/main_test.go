package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/waybill-dev/waybill/internal/testenv"
)

var secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("twenty-four bytes of key"))

// output is what was printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// send posts an event, signed with a secret at a time, and returns the status.
func send(t *testing.T, url, id, secret, body string, at time.Time) int {
	t.Helper()
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign(id, at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set(standardwebhooks.HeaderWebhookID, id)
	q.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	q.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return a.StatusCode
}

func TestReceiver_ShowsWhatIsSignedOnce(t *testing.T) {
	t.Parallel()
	const good, other = `{"type":"messages.created","data":{"content":"Hello"},"operation":"o"}`, "whsec_b3RoZXI="
	for name, c := range map[string]struct {
		secret, body string
		age          time.Duration
		status       int
		prints       string
	}{
		"signed":              {secret, good, 0, http.StatusNoContent, "messages.created 1 {\"content\":\"Hello\"}\n"},
		"by somebody else":    {other, good, 0, http.StatusUnauthorized, "refused: "},
		"ten minutes ago":     {secret, good, 10 * time.Minute, http.StatusUnauthorized, "refused: "},
		"signed, but no JSON": {secret, "Hello", 0, http.StatusBadRequest, "refused: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			verifier, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Fatal(err)
			}
			out := &output{}
			s := httptest.NewServer(newReceiver(verifier, out))
			t.Cleanup(s.Close)
			for range 2 {
				if got := send(t, s.URL, "1", c.secret, c.body, time.Now().Add(-c.age)); got != c.status {
					t.Errorf("answered %d, want %d", got, c.status)
				}
			}
			if got := out.String(); !strings.HasPrefix(got, c.prints) || c.status == http.StatusNoContent && got != c.prints {
				t.Errorf("printed %q, want %q", got, c.prints)
			}
		})
	}
}

func TestRecent_ForgetsTheOldest(t *testing.T) {
	t.Parallel()
	s := newRecent(3)
	var fresh []bool
	for id := range strings.FieldsSeq("a b a c d b a") { // d pushes a out, which then pushes b out
		fresh = append(fresh, s.add(id))
	}
	if got := fmt.Sprint(fresh); got != "[true true false true true false true]" || len(s.known) != 3 {
		t.Errorf("new: %s, %d known", got, len(s.known))
	}
}

// start runs the program until the test ends, or stop is called, and returns
// where it listens.
func start(t *testing.T, out *output, secret string, w waybill) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, out, "127.0.0.1:0", secret, w) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	testenv.Eventually(t, 10*time.Second, "it listens", func() error {
		_, rest, found := strings.Cut(out.String(), "listening on ")
		if !found {
			return fmt.Errorf("it says %q", out)
		}
		url, _, _ = strings.Cut(rest, ";")
		return nil
	})
	return url, stop
}

func TestRun_TakesItsSubscriptionBack(t *testing.T) {
	t.Parallel()
	var asked output
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		text, _ := io.ReadAll(q.Body)
		fmt.Fprintf(&asked, "%s %s %s %s\n", q.Header.Get("Authorization"), q.Method, q.URL.Path, text)
		if q.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"id":"7","secret":%q}`, secret)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(api.Close)
	out := &output{}
	url, stop := start(t, out, "", waybill{api.URL, "wb_a_b"})
	if got := send(t, url, "1", secret, `{"type":"todos.deleted","data":{}}`, time.Now()); got != http.StatusNoContent {
		t.Errorf("answered %d", got)
	}
	stop()
	want := `Bearer wb_a_b POST /api/subscriptions {"channel":{"type":"webhook","url":"` + url + `"},"events":["*"],"name":"webhook-receiver"}` +
		"\nBearer wb_a_b DELETE /api/subscriptions/7 \n"
	if got := asked.String(); got != want {
		t.Errorf("asked for\n%s, want\n%s", got, want)
	}
}

func TestRun_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	refuses := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(refuses.Close)
	for _, c := range []struct{ secret, waybill, says string }{
		{"", "", "WEBHOOK_SECRET"},
		{"whsec_!", "", "base64"},
		{"", refuses.URL, "404"},
	} {
		if err := run(t.Context(), io.Discard, "127.0.0.1:0", c.secret, waybill{c.waybill, ""}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestRun_ReceivesFromWaybill: the two commands of the README.
func TestRun_ReceivesFromWaybill(t *testing.T) {
	t.Parallel()
	api := startWaybill(t)
	out := &output{}
	_, stop := start(t, out, "", api)
	var operation struct{ ID string }
	if err := api.call(t.Context(), http.MethodPost, "/api/messages", []byte(`{"content":"Hello"}`), &operation); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 20*time.Second, "the event is shown", func() error {
		if said := out.String(); !strings.Contains(said, "messages.created "+operation.ID+" {") || !strings.Contains(said, `"content":"Hello"`) {
			return fmt.Errorf("it says %q", said)
		}
		return nil
	})
	stop()
	var list struct{ Items []json.RawMessage }
	if err := api.call(t.Context(), http.MethodGet, "/api/subscriptions", nil, &list); err != nil || len(list.Items) > 0 {
		t.Errorf("subscriptions that are left: %s, %v", list.Items, err)
	}
}

// startWaybill runs `waybill up` until the test ends, and returns its URL and key.
func startWaybill(t *testing.T) waybill {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "waybill")
	if said, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, "../../cmd/waybill").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, said)
	}
	var ports [2]int
	for i := range ports {
		var err error
		if ports[i], err = testenv.FreePort(); err != nil {
			t.Fatal(err)
		}
	}
	said := &output{}
	cmd := exec.Command(program, "up")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, said, said
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "WAYBILL_DATA=" + filepath.Join(dir, "data"),
		fmt.Sprintf("WAYBILL_LISTEN=127.0.0.1:%d", ports[0]), fmt.Sprintf("WAYBILL_OPS_LISTEN=127.0.0.1:%d", ports[1]),
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("waybill up: %v\n%s", err, said)
		}
	})
	testenv.Eventually(t, 30*time.Second, "waybill is ready", func() error {
		return waybill{fmt.Sprintf("http://127.0.0.1:%d", ports[1]), ""}.call(t.Context(), http.MethodGet, "/readyz", nil, nil)
	})
	key, err := readKey(filepath.Join(dir, "data", "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	return waybill{fmt.Sprintf("http://127.0.0.1:%d", ports[0]), key}
}
