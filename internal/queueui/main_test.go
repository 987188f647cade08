package queueui

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/testenv"
	"github.com/waybill-dev/waybill/tasks"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

const configuration = `
collections:
  people:
    schema: {type: object, properties: {name: {type: string}, password: {type: string, secret: true}}}
`

// bundle is a Handler on a Redis of its own, behind a server.
type bundle struct {
	redis  *testenv.Redis
	rc     redis.UniversalClient // another client than the handler's
	server *httptest.Server
	log    *logBook
}

func setup(t testing.TB) *bundle {
	t.Helper()
	b := &bundle{redis: testenv.NewRedis(t), log: &logBook{}}
	b.rc = connect(t, b.redis)
	h := newHandler(t, Options{Redis: connect(t, b.redis), Logger: slog.New(slog.NewTextHandler(b.log, nil)), Fail: b.log.fail})
	b.server = httptest.NewServer(h)
	t.Cleanup(b.server.Close)
	return b
}

func connect(t testing.TB, r *testenv.Redis) redis.UniversalClient {
	t.Helper()
	rc, err := queue.Connect(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rc.Close() })
	return rc
}

func newHandler(t testing.TB, o Options) *Handler {
	t.Helper()
	o.Collections = collections(t)
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func collections(t testing.TB) *collection.Set {
	t.Helper()
	set, err := collection.Parse("waybill.yaml", []byte(configuration))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// enqueue puts the operations into the queue as a batch, and returns its ID.
func (b *bundle) enqueue(t testing.TB, operations ...record.Operation) string {
	t.Helper()
	task, err := queue.ApplyTask(operations[0].ID, operations, record.Trace{})
	if err != nil {
		t.Fatal(err)
	}
	b.put(t, task)
	return operations[0].ID
}

func (b *bundle) put(t testing.TB, task *asynq.Task) {
	t.Helper()
	client := queue.NewClient(b.rc)
	defer func() { _ = client.Close() }()
	if err := client.Enqueue(t.Context(), task); err != nil {
		t.Fatal(err)
	}
}

func write(id, name, body string) record.Operation {
	return record.Operation{
		ID: id, Key: record.Key{Tenant: "acme", Collection: name, ID: id}, Action: record.Create, Body: []byte(body),
		Principal: "user:7", Reply: "waybill:reply:channel-9",
	}
}

const (
	operationA = "01900000-0000-7000-8000-000000000001"
	operationB = "01900000-0000-7000-8000-000000000002"
)

// reply is an answer of the server.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request with headers given in pairs. It follows no redirects.
func (b *bundle) do(t testing.TB, method, path string, headers ...string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := b.server.Client().Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{answer.StatusCode, answer.Header, string(body)}
}

// problem checks that the reply is a problem of that status and code.
func (r reply) problem(t testing.TB, status int, code fault.Kind) {
	t.Helper()
	var p struct{ Code fault.Kind }
	if err := json.Unmarshal([]byte(r.body), &p); err != nil || r.status != status || p.Code != code {
		t.Errorf("got %d %s, want %d %s", r.status, r.body, status, code)
	}
	if kind := r.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("the problem's type is %q", kind)
	}
}

// logBook keeps a log and the faults that were answered.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) has(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), part)
}

// fail stands for the API's own.
func (l *logBook) fail(w http.ResponseWriter, _ *http.Request, err error) {
	_, _ = l.Write([]byte("failed: " + err.Error() + "\n"))
	status := map[fault.Kind]int{
		fault.Unauthorized: 401, fault.Forbidden: 403, fault.NotFound: 404, fault.MethodNotAllowed: 405, fault.InvalidParameter: 400,
		fault.QueueUnavailable: 503, fault.StoreUnavailable: 503, fault.Internal: 500,
	}[fault.KindOf(err)]
	detail := ""
	if f, ok := err.(*fault.Error); ok { //nolint:errorlint // the very error, as a client sees it
		detail = f.Detail
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"code": fault.KindOf(err), "detail": detail, "request_id": "r-1"})
}

// pending returns what the pages show of the tasks that wait in a queue, by ID.
func (b *bundle) pending(t testing.TB, queue string) map[string]string {
	t.Helper()
	list := b.do(t, http.MethodGet, "/queues/api/queues/"+queue+"/pending_tasks")
	var page struct {
		Tasks []struct{ ID, Payload string }
	}
	if err := json.Unmarshal([]byte(list.body), &page); err != nil || list.status != http.StatusOK {
		t.Fatalf("%d %s: %v", list.status, list.body, err)
	}
	payloads := map[string]string{}
	for _, task := range page.Tasks {
		payloads[task.ID] = task.Payload
	}
	return payloads
}

// drop removes a task's hash, and leaves its ID in the list.
func (b *bundle) drop(ctx context.Context, t testing.TB, id string) {
	t.Helper()
	if n, err := b.rc.Del(ctx, "asynq:{"+tasks.QueueWrites+"}:t:"+id).Result(); n != 1 || err != nil {
		t.Fatalf("dropped %d hashes: %v", n, err)
	}
}
