package auth_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/secret"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

const (
	email    = "ada@example.com"
	password = "correct horse battery"
)

// clock is a time that passes when a test says so.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// flaky is a store that may be away, and counts what it is asked.
type flaky struct {
	auth.Store
	away  atomic.Bool
	reads atomic.Int64

	beforeSession func() // called once before a session is made
}

func (f *flaky) CreateSession(ctx context.Context, s *principal.Session, first *principal.Refresh) error {
	if before := f.beforeSession; before != nil {
		f.beforeSession = nil
		before()
	}
	return f.Store.CreateSession(ctx, s, first)
}

func (f *flaky) ask() error {
	f.reads.Add(1)
	if f.away.Load() {
		return fault.New(fault.StoreUnavailable, "the store is away")
	}
	return nil
}

func (f *flaky) IdentityVersion(ctx context.Context) (int64, error) {
	if err := f.ask(); err != nil {
		return 0, err
	}
	return f.Store.IdentityVersion(ctx)
}

func (f *flaky) KeyOwner(ctx context.Context, id string) (*principal.Key, *principal.User, error) {
	if err := f.ask(); err != nil {
		return nil, nil, err
	}
	return f.Store.KeyOwner(ctx, id)
}

func (f *flaky) SessionOwner(ctx context.Context, id string, hash []byte) (*principal.Session, *principal.User, *principal.Key, error) {
	if err := f.ask(); err != nil {
		return nil, nil, nil, err
	}
	return f.Store.SessionOwner(ctx, id, hash)
}

func (f *flaky) EnsureTenant(ctx context.Context, t principal.Tenant) error {
	if err := f.ask(); err != nil {
		return err
	}
	return f.Store.EnsureTenant(ctx, t)
}

// world is a Service on a real store.
type world struct {
	*auth.Service
	store *store.Store
	flaky *flaky
	clock *clock
}

func newWorld(t testing.TB, change ...func(*auth.Options)) *world {
	t.Helper()
	s, err := store.Open("sqlite:"+filepath.Join(t.TempDir(), "waybill.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return worldOn(t, s, change...)
}

// worldOn is another Service on a store, as another process has.
func worldOn(t testing.TB, s *store.Store, change ...func(*auth.Options)) *world {
	t.Helper()
	w := &world{store: s, flaky: &flaky{Store: s}, clock: &clock{now: time.Now().UTC().Truncate(time.Second)}}
	o := auth.Options{
		Box: box(t, "a"), Registration: "open", Now: w.clock.Now,
		Collections: func(name string) bool { return name == "messages" || name == "todos" },
	}
	for _, f := range change {
		f(&o)
	}
	service, err := auth.New(w.flaky, o)
	if err != nil {
		t.Fatal(err)
	}
	w.Service = service
	return w
}

func box(t testing.TB, letter string) secret.Box {
	t.Helper()
	b, err := secret.NewBox(strings.Repeat(letter, secret.MinBytes))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// operator may do all.
var operator = &principal.Principal{
	Kind: principal.OfKey, Tenant: record.DefaultTenant, Role: principal.Platform, Scopes: []principal.Scope{principal.ScopePlatform},
}

// user makes a user and returns the principal that they log in as.
func (w *world) user(t testing.TB, tenant, email string, role principal.Role) *principal.Principal {
	t.Helper()
	if _, err := w.CreateUser(t.Context(), operator, auth.NewUser{Tenant: tenant, Email: email, Password: password, Role: string(role)}); err != nil {
		t.Fatal(err)
	}
	_, p := w.login(t, email)
	return p
}

func (w *world) login(t testing.TB, email string) (*auth.Tokens, *principal.Principal) {
	t.Helper()
	tokens, err := w.Login(t.Context(), email, password)
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.Authenticate(t.Context(), tokens.Access)
	if err != nil {
		t.Fatal(err)
	}
	return tokens, p
}

// key makes a key and returns its text, and the principal that shows it.
func (w *world) key(t testing.TB, by *principal.Principal, n auth.NewKey) (string, *principal.Principal) {
	t.Helper()
	if n.Name == "" {
		n.Name = "test"
	}
	_, text, err := w.CreateKey(t.Context(), by, by.Tenant, n)
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.Authenticate(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	return text, p
}

// want fails unless err is of the kind, with just these locations.
func want(t testing.TB, err error, kind fault.Kind, locations ...string) {
	t.Helper()
	if fault.KindOf(err) != kind {
		t.Errorf("error %v, want %s", err, kind)
		return
	}
	var got []string
	if f, ok := errors.AsType[*fault.Error](err); ok {
		for _, item := range f.Items {
			got = append(got, item.Location)
		}
	}
	if len(locations) > 0 && strings.Join(got, " ") != strings.Join(locations, " ") {
		t.Errorf("error at %q, want %q", got, locations)
	}
}
