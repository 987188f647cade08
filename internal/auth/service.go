package auth

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/secret"
)

// Options of a Service.
type Options struct {
	Box          secret.Box // signs access tokens if TokenKeys do not; the zero Box: nobody can log in
	TokenKeys    TokenKeys
	Registration string                 // "open" or "closed"; "" is closed
	Collections  func(name string) bool // which there are; nil: any
	Logger       *slog.Logger           // nil: silent
	Now          func() time.Time       // nil: time.Now
	Down         func(error)            // told when the store cannot be asked; nil: nobody is
}

// Service verifies who is asking, and makes, changes and ends what they show.
// Its errors are fault errors. Run keeps it informed; without Run it works, and
// asks the store more often.
type Service struct {
	store  Store
	o      Options
	keys   TokenKeys
	hasher *hasher
	log    *slog.Logger
	now    func() time.Time

	cache   *cache
	flights singleflight.Group
	tenants sync.Map // names that are known to exist

	used struct {
		sync.Mutex
		at map[string]time.Time // by a key's ID
	}
}

// New returns a Service on a store. Without a key that signs it verifies API keys,
// and nobody can log in.
func New(store Store, o Options) (*Service, error) {
	s := &Service{store: store, o: o, keys: o.TokenKeys, hasher: newHasher(), log: o.Logger, now: o.Now}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.o.Down == nil {
		s.o.Down = func(error) {}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.o.Collections == nil {
		s.o.Collections = func(string) bool { return true }
	}
	s.used.at = map[string]time.Time{}
	var err error
	if s.keys.signer == nil && o.Box.Usable() {
		if s.keys, err = derivedKeys(o.Box); err != nil {
			return nil, err
		}
	}
	s.cache, err = newCache(s.now())
	return s, err
}

// unauthorized is the one answer to whatever is wrong with credentials.
func unauthorized() error { return fault.New(fault.Unauthorized, "the credentials are not valid") }

// mistakes are what is wrong with a request's body.
type mistakes []fault.Item

func (m *mistakes) add(location, message string) {
	*m = append(*m, fault.Item{Location: location, Message: message})
}

// join adds the items of err, if it is one that has any.
func (m *mistakes) join(err error) {
	if f, ok := err.(*fault.Error); ok { //nolint:errorlint // what was made here a moment ago is not wrapped
		*m = append(*m, f.Items...)
	}
}

// err is fault.InvalidRecord with all mistakes, nil if there are none.
func (m mistakes) err() error { return m.as(fault.InvalidRecord) }

func (m mistakes) as(kind fault.Kind) error {
	if len(m) == 0 {
		return nil
	}
	return fault.Of(kind, m)
}

func indexed(location string, i int) string { return fmt.Sprintf("%s[%d]", location, i) }
