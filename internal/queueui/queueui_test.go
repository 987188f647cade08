package queueui

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/testenv"
	"github.com/waybill-dev/waybill/tasks"
)

func TestHandler_ShowsOperationsWithoutSecrets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.enqueue(t,
		write(operationA, "people", `{"name":"<Ada>","password":"hunter-2"}`),
		write(operationB, "unknown", `{"name":"hunter-3"}`))
	due, err := tasks.NewDeliver(nil, tasks.Subscription{Tenant: "acme", ID: "s-1"})
	if err != nil {
		t.Fatal(err)
	}
	b.put(t, due)
	b.put(t, asynq.NewTask("other:type", []byte("hunter-4"), asynq.Queue(tasks.QueueMaintenance)))

	want := `{
  "operations": [
    {
      "id": "` + operationA + `",
      "tenant": "acme",
      "action": "create",
      "collection": "people",
      "record": "` + operationA + `",
      "principal": "user:7",
      "body": {
        "name": "<Ada>",
        "password": "***"
      }
    },
    {
      "id": "` + operationB + `",
      "tenant": "acme",
      "action": "create",
      "collection": "unknown",
      "record": "` + operationB + `",
      "principal": "user:7",
      "body": "***"
    }
  ]
}
`
	if got := b.pending(t, tasks.QueueWrites)[id]; got != want {
		t.Errorf("the batch is shown as\n%s\nwant\n%s", got, want)
	}
	for _, payload := range b.pending(t, tasks.QueueNotify) {
		if !strings.Contains(payload, `"id": "s-1"`) {
			t.Errorf("a delivery is shown as %s", payload)
		}
	}
	for _, payload := range b.pending(t, tasks.QueueMaintenance) {
		if payload != "unreadable payload of 8 bytes" {
			t.Errorf("an unknown task is shown as %s", payload)
		}
	}
	for _, path := range []string{
		"/queues/api/queues", "/queues/api/queues/writes", "/queues/api/queues/writes/pending_tasks",
		"/queues/api/queues/writes/tasks/" + id, "/queues/api/queues/maintenance/pending_tasks", "/queues/api/servers", "/queues/api/redis_info",
	} {
		got := b.do(t, http.MethodGet, path)
		if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", path, got.status, got.header)
		}
		if strings.Contains(got.body, "hunter-") || strings.Contains(got.body, "channel-9") {
			t.Errorf("%s shows a secret: %s", path, got.body)
		}
	}
}

func TestHandler_Changes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.enqueue(t, write(operationA, "people", `{}`))
	const pause = "/queues/api/queues/writes:pause"
	paused := func() bool {
		return strings.Contains(b.do(t, http.MethodGet, "/queues/api/queues").body, `"paused":true`)
	}
	b.do(t, http.MethodPost, pause, "Sec-Fetch-Site", "cross-site").problem(t, http.StatusForbidden, fault.Forbidden)
	b.do(t, http.MethodPost, pause, "Origin", "https://evil.example").problem(t, http.StatusForbidden, fault.Forbidden)
	b.do(t, http.MethodDelete, "/queues/api/queues/writes/pending_tasks:delete_all", "Sec-Fetch-Site", "same-site").problem(t, http.StatusForbidden, fault.Forbidden)
	if paused() || len(b.pending(t, tasks.QueueWrites)) != 1 {
		t.Fatal("another site changed the queue")
	}
	if got := b.do(t, http.MethodPost, pause, "Sec-Fetch-Site", "same-origin", "Origin", b.server.URL); got.status != http.StatusNoContent || !paused() {
		t.Fatalf("pause: %d %s", got.status, got.body)
	}
	if !b.log.has(`path=/queues/api/queues/writes:pause principal=system`) {
		t.Errorf("the change is not in the log: %s", b.log.text.String())
	}
}

func TestHandler_Refusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.enqueue(t, write(operationA, "people", `{}`))
	cases := []struct {
		method, path string
		status       int
		code         fault.Kind
	}{
		{http.MethodGet, "/queues/api/queues/nosuch", 404, fault.NotFound},
		{http.MethodGet, "/queues/api/queues/writes/tasks/nosuch", 404, fault.NotFound},
		{http.MethodGet, "/queues/api/nosuch", 404, fault.NotFound},
		{http.MethodGet, "/queues/static/js/nosuch.js", 404, fault.NotFound},
		{http.MethodGet, "/queues/api/metrics", 404, fault.NotFound},
		{http.MethodGet, "/queues/api/queues/writes/pending_tasks?size=101", 400, fault.InvalidParameter},
		{http.MethodGet, "/queues/api/queues/writes/pending_tasks?size=-1", 400, fault.InvalidParameter},
		{http.MethodPost, "/queues/api/queues/writes/pending_tasks:batch_delete", 400, fault.InvalidParameter},
		{http.MethodPut, "/queues/api/queues", 404, fault.NotFound},
		{http.MethodPost, "/queues/", 405, fault.MethodNotAllowed},
	}
	for _, tc := range cases {
		t.Run(tc.method+" "+tc.path, func(t *testing.T) {
			t.Parallel()
			b.do(t, tc.method, tc.path).problem(t, tc.status, tc.code)
		})
	}
}

// asynqmon reads a queue wholly or not at all.
func TestHandler_MissingTask(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.drop(t.Context(), t, b.enqueue(t, write(operationA, "people", `{}`)))
	got := b.do(t, http.MethodGet, "/queues/api/queues")
	got.problem(t, http.StatusInternalServerError, fault.Internal)
	if strings.Contains(got.body, "eval") || !b.log.has("eval") {
		t.Errorf("the cause belongs into the log alone: %s", got.body)
	}
	text := b.do(t, http.MethodGet, "/queues/api/queues", "Accept", "application/json, text/plain, */*")
	if text.status != http.StatusInternalServerError || text.body != "the queues could not be read (internal, request r-1)" {
		t.Errorf("the page's script got %d %s", text.status, text.body)
	}
}

func TestHandler_RedisAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.enqueue(t, write(operationA, "people", `{}`))
	if err := b.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for _, path := range []string{"/queues/api/queues", "/queues/api/queues/writes", "/queues/api/servers", "/queues/api/redis_info"} {
		b.do(t, http.MethodGet, path).problem(t, http.StatusServiceUnavailable, fault.QueueUnavailable)
	}
	if page := b.do(t, http.MethodGet, "/queues/"); page.status != http.StatusOK {
		t.Errorf("the page needs Redis: %d", page.status)
	}
	if took := time.Since(start); took > answerTimeout {
		t.Errorf("it took %v", took)
	}
}

func TestHandler_RedisHangs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.enqueue(t, write(operationA, "people", `{}`))
	if err := b.redis.Pause(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	b.do(t, http.MethodGet, "/queues/api/queues").problem(t, http.StatusServiceUnavailable, fault.QueueUnavailable)
	if took := time.Since(start); took > answerTimeout {
		t.Errorf("it took %v", took)
	}
	if err := b.redis.Resume(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the queues are shown again", func() error {
		if got := b.do(t, http.MethodGet, "/queues/api/queues"); got.status != http.StatusOK {
			return errors.New(got.body)
		}
		return nil
	})
}

func TestHandler_Panic(t *testing.T) {
	t.Parallel()
	log := &logBook{}
	h := newHandler(t, Options{Redis: connect(t, testenv.NewRedis(t)), Logger: slog.New(slog.DiscardHandler), Fail: log.fail})
	h.mon = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("half an answer"))
		panic("asynqmon")
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/queues/api/queues", http.NoBody))
	reply{w.Code, w.Header(), w.Body.String()}.problem(t, http.StatusInternalServerError, fault.Internal)
	if !log.has("panic: asynqmon") || strings.Contains(w.Body.String(), "half") {
		t.Errorf("answered %s", w.Body.String())
	}
}

func TestHandler_PrometheusHangs(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	released := make(chan struct{})
	prometheus := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		<-released
	}))
	defer prometheus.Close()
	log := &logBook{}
	h := newHandler(t, Options{
		Redis: connect(t, testenv.NewRedis(t)), Logger: slog.New(slog.DiscardHandler), Fail: log.fail, PrometheusURL: prometheus.URL,
	})
	get := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/queues/api/metrics", http.NoBody))
		return w
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	defer close(released)
	for range maxMetrics {
		wait.Go(func() { get() })
	}
	testenv.Eventually(t, 10*time.Second, "Prometheus is asked", func() error {
		if asked.Load() < maxMetrics*9 {
			return errors.New("not all slots are taken")
		}
		return nil
	})
	if w := get(); w.Code != http.StatusServiceUnavailable {
		t.Errorf("one too many: %d %s", w.Code, w.Body)
	}
}

func TestNew_PrometheusURL(t *testing.T) {
	t.Parallel()
	for url, good := range map[string]bool{
		"": true, "http://prometheus:9090": true, "https://p.example/x/": true,
		"prometheus:9090": false, "ftp://p": false, "http://": false, "http://user:hunter-2@p": false, ":": false,
	} {
		err := checkPrometheus(url)
		if (err == nil) != good {
			t.Errorf("%q: %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter-2") {
			t.Errorf("%v shows a password", err)
		}
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	user := func(tenant string, role principal.Role) *principal.Principal {
		return &principal.Principal{Kind: principal.OfUser, ID: "user:1", Tenant: tenant, Role: role}
	}
	key := func(tenant string, scopes ...principal.Scope) *principal.Principal {
		return &principal.Principal{Kind: principal.OfKey, ID: "key:1", Tenant: tenant, Role: principal.RoleOf(scopes, principal.Platform), Scopes: scopes}
	}
	limited := func(p *principal.Principal) *principal.Principal {
		p.Collections = []string{"people"}
		return p
	}
	cases := map[string]struct {
		p    *principal.Principal
		err  error
		want int
	}{
		"nobody":                           {nil, nil, 401},
		"anonymous":                        {principal.Guest("default"), nil, 401},
		"bad credentials":                  {nil, fault.New(fault.Unauthorized, "no such key"), 401},
		"database away":                    {nil, fault.New(fault.StoreUnavailable, "later"), 503},
		"another failure":                  {nil, errors.New("disk"), 500},
		"member":                           {user("default", principal.Member), nil, 403},
		"admin":                            {user("default", principal.Admin), nil, 200},
		"platform admin":                   {user("default", principal.Platform), nil, 200},
		"admin elsewhere":                  {user("acme", principal.Admin), nil, 403},
		"platform admin elsewhere":         {user("acme", principal.Platform), nil, 200},
		"key with queues":                  {key("default", principal.Queues), nil, 200},
		"key with queues elsewhere":        {key("acme", principal.Queues), nil, 403},
		"key without queues":               {key("default", principal.RecordsRead, principal.Deliveries), nil, 403},
		"key of no scopes":                 {key("default"), nil, 403},
		"admin key":                        {key("default", principal.ScopeAdmin), nil, 200},
		"admin key elsewhere":              {key("acme", principal.ScopeAdmin), nil, 403},
		"platform key elsewhere":           {key("acme", principal.ScopePlatform), nil, 200},
		"key with queues, one collection":  {limited(key("default", principal.Queues)), nil, 403},
		"admin key, one collection":        {limited(key("default", principal.ScopeAdmin)), nil, 403},
		"platform key with one collection": {limited(key("default", principal.ScopePlatform)), nil, 403},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			passed := false
			next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true })
			authenticate := func(*http.Request) (*principal.Principal, error) { return tc.p, tc.err }
			w := httptest.NewRecorder()
			Gate(authenticate, new(logBook).fail, next).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/queues/", http.NoBody))
			if w.Code != tc.want || passed != (tc.want == 200) {
				t.Errorf("answered %d, passed: %v, want %d", w.Code, passed, tc.want)
			}
			if got := w.Header().Get("WWW-Authenticate"); (got == `Basic realm="waybill"`) != (tc.want == 401) {
				t.Errorf("WWW-Authenticate: %q", got)
			}
		})
	}
}
