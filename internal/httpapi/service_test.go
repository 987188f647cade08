package httpapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/apply"
	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/httpapi"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/secret"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/testenv"
	"github.com/waybill-dev/waybill/tasks"
)

// service is the whole path in this process, on a Redis and a database of its
// own: the API behind a real listener, and a worker that a test starts and stops.
type service struct {
	t      testing.TB
	url    string
	redis  redis.UniversalClient
	queue  *queue.Client
	store  *store.Store
	set    *collection.Set
	log    *logBook
	seen   *observer
	client *http.Client
	notify *notified
	auth   *auth.Service
	api    *httpapi.API
}

// setting changes how a service is made.
type setting func(*settings)

type settings struct {
	redisURL, databaseURL string
	readTimeout           time.Duration
	maxBody               int64
	store                 func(*store.Store) httpapi.Store
	durability            func(context.Context) string
	channels              httpapi.Channels
	config                string // of the collections
	limits                httpapi.Limits
	proxies               []netip.Prefix
	origins               []string // of CORS
	pages                 httpapi.Pages
}

// tokenSecret signs the access tokens of every service.
const tokenSecret = "a secret of tests that signs tokens"

// operatorKey is the key of the operator of every service.
const operatorKey = "wb_operator_a-secret-of-tests-that-is-long-enough"

// operated sends what names nobody as the operator.
type operated struct{ http.RoundTripper }

func (o operated) RoundTrip(r *http.Request) (*http.Response, error) {
	switch given, ok := r.Header["Authorization"]; {
	case !ok:
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+operatorKey)
	case len(given) == 1 && given[0] == "": // nobody
		r = r.Clone(r.Context())
		r.Header.Del("Authorization")
	}
	return o.RoundTripper.RoundTrip(r)
}

func onRedis(url string) setting           { return func(s *settings) { s.redisURL = url } }
func onDatabase(url string) setting        { return func(s *settings) { s.databaseURL = url } }
func reading(within time.Duration) setting { return func(s *settings) { s.readTimeout = within } }

// newService starts a service without a worker.
func newService(t testing.TB, more ...setting) *service {
	t.Helper()
	o := settings{
		readTimeout: 30 * time.Second,
		store:       func(s *store.Store) httpapi.Store { return s },
		durability:  func(context.Context) string { return "fsync-always" },
		channels:    fakeChannels{},
		config:      "testdata/waybill.yaml",
	}
	for _, set := range more {
		set(&o)
	}
	if o.redisURL == "" {
		o.redisURL = testenv.RedisURL(t)
	}
	if o.databaseURL == "" {
		o.databaseURL = "sqlite:" + filepath.Join(t.TempDir(), "waybill.db")
	}
	s := &service{t: t, log: &logBook{}, seen: &observer{}}
	s.connect(o)

	logger := slog.New(slog.NewJSONHandler(s.log, nil))
	acceptor := accept.New(s.redis, s.queue, s.store, accept.Options{Logger: logger})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { acceptor.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })

	running.Go(func() { s.auth.Run(ctx) })

	api, err := httpapi.New(httpapi.Options{
		Collections: s.set, Acceptor: acceptor, Store: o.store(s.store), Identity: s.auth, Accounts: s.auth, Directory: s.store,
		Subscriptions: s.notify, Channels: o.channels, Waker: s.notify, Durability: o.durability, Version: "test",
		MaxBody: o.maxBody, Logger: logger, Observer: s.seen, Limits: o.limits, TrustedProxies: o.proxies, Queues: o.pages,
		CORSOrigins: o.origins,
	})
	must(t, err)
	s.api = api
	server := httptest.NewUnstartedServer(api)
	server.Config.ReadTimeout = o.readTimeout
	server.Config.ReadHeaderTimeout = 10 * time.Second
	server.Config.WriteTimeout = 75 * time.Second
	server.Start()
	t.Cleanup(server.Close)
	s.url, s.client = server.URL, server.Client()
	s.client.Transport = operated{s.client.Transport}
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return s
}

// connect opens the parts behind the API and prepares the database.
func (s *service) connect(o settings) {
	s.t.Helper()
	var err error
	s.set, err = collection.Load(o.config)
	must(s.t, err)
	s.redis, err = queue.Connect(o.redisURL)
	must(s.t, err)
	s.t.Cleanup(func() { _ = s.redis.Close() })
	s.queue = queue.NewClient(s.redis)
	s.t.Cleanup(func() { _ = s.queue.Close() })
	s.store, err = store.Open(o.databaseURL, store.Options{Rules: s.set.Access})
	must(s.t, err)
	s.t.Cleanup(func() { _ = s.store.Close() })
	must(s.t, s.store.Migrate(s.t.Context()))
	indexes := map[string][]string{}
	for _, c := range s.set.All() {
		indexes[c.Name] = c.Indexes
	}
	must(s.t, s.store.EnsureIndexes(s.t.Context(), indexes))
	s.notify = &notified{Store: s.store}
	box, err := secret.NewBox("a secret of tests, long enough to be one")
	must(s.t, err)
	keys, err := auth.ParseTokenKeys("known=hs256:" + base64.StdEncoding.EncodeToString([]byte(tokenSecret)))
	must(s.t, err)
	s.auth, err = auth.New(s.store, auth.Options{
		Box: box, TokenKeys: keys, Registration: "open", Collections: func(name string) bool { _, ok := s.set.Get(name); return ok },
	})
	must(s.t, err)
	must(s.t, s.auth.Seed(s.t.Context(), operatorKey))
}

// work starts a worker and returns what stops it; the test's end does too.
func (s *service) work() (stop func()) {
	s.t.Helper()
	logger := slog.New(slog.NewJSONHandler(s.log, nil))
	handler := apply.New(s.queue, s.store, accept.NewUnderWay(s.redis), announcer{s.redis}, s.set, apply.Options{Logger: logger})
	server, err := queue.NewServer(s.redis, queue.ServerOptions{
		Queue: tasks.QueueWrites, Concurrency: 4, Logger: logger, ShutdownTimeout: 5 * time.Second,
		RetryDelay: func(error, int) time.Duration { return 100 * time.Millisecond },
	}, handler)
	must(s.t, err)
	must(s.t, server.Start(s.t.Context()))
	stop = sync.OnceFunc(server.Stop)
	s.t.Cleanup(stop)
	return stop
}

// working is a service with a worker.
func working(t testing.TB, more ...setting) *service {
	t.Helper()
	s := newService(t, more...)
	s.work()
	return s
}

// state is everything that a request could have changed: what the queue holds,
// keys and marks included, and what the store does.
func (s *service) state() string {
	s.t.Helper()
	keys, err := s.redis.Keys(s.t.Context(), "*{writes}*").Result()
	must(s.t, err)
	keys = slices.DeleteFunc(keys, func(key string) bool {
		return key == "waybill:{writes}:stamp" || strings.HasPrefix(key, "asynq:") && !strings.Contains(key, ":t:")
	})
	slices.Sort(keys)
	var b strings.Builder
	fmt.Fprintln(&b, "redis:", keys)
	for _, name := range []string{"messages", "todos", "readings"} {
		records, _, err := s.store.Records(s.t.Context(), record.DefaultTenant, name, store.RecordQuery{Limit: 500})
		must(s.t, err)
		for _, r := range records {
			fmt.Fprintln(&b, r.Key, r.Version, r.UpdatedBy, string(r.Data))
		}
	}
	operations, _, err := s.store.Operations(s.t.Context(), record.DefaultTenant, store.OperationQuery{Limit: 500})
	must(s.t, err)
	for _, op := range operations {
		fmt.Fprintln(&b, op.ID, op.Key, op.Action, op.Status, op.Version)
	}
	subscriptions, _, err := s.notify.Subscriptions(s.t.Context(), record.DefaultTenant, 500, "")
	must(s.t, err)
	for _, sub := range subscriptions {
		fmt.Fprintf(&b, "%+v\n", sub)
	}
	deliveries, _, err := s.notify.Deliveries(s.t.Context(), record.DefaultTenant, store.DeliveryQuery{Limit: 500})
	must(s.t, err)
	for _, d := range deliveries {
		fmt.Fprintf(&b, "%+v\n", d)
	}
	return b.String()
}

// drained waits until no operation is in the queue.
func (s *service) drained() {
	s.t.Helper()
	testenv.Eventually(s.t, time.Minute, "queue drained", func() error {
		left, err := s.redis.Keys(s.t.Context(), "asynq:{writes}:t:*").Result()
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%d tasks left", len(left))
		}
		return err
	})
}

// announcer publishes outcomes, as the worker's process does.
type announcer struct{ redis redis.UniversalClient }

func (a announcer) Publish(ctx context.Context, channel string, outcome *tasks.Outcome) error {
	var message bytes.Buffer
	e := json.NewEncoder(&message)
	e.SetEscapeHTML(false) // bodies travel byte for byte
	if err := e.Encode(outcome); err != nil {
		return err
	}
	return a.redis.Publish(ctx, channel, message.Bytes()).Err()
}

// observer counts the requests that have ended, by status.
type observer struct {
	mu       sync.Mutex
	statuses []int
	rejected []fault.Kind
}

func (o *observer) Request(_ record.Trace, _, _ string, status int, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.statuses = append(o.statuses, status)
}

func (o *observer) Rejected(code fault.Kind) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rejected = append(o.rejected, code)
}

func (o *observer) ended() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.statuses)
}

// logBook is a log that tests read.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// has says whether a line holds all of parts.
func (l *logBook) has(parts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			return true
		}
	}
	return false
}

// dial connects to the service without an HTTP client's manners.
func (s *service) dial() net.Conn {
	s.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	must(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	must(s.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
