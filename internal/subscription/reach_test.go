package subscription_test

import (
	"testing"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// rules are those of four collections, each named after who may read it. None
// may be written but by admins: what may be written is not asked.
func rules(name string) (collection.Access, bool) {
	for _, role := range []collection.Role{collection.Public, collection.Member, collection.Owner, collection.Admin} {
		if string(role) == name {
			return collection.Access{Read: role, Write: collection.Admin}, true
		}
	}
	return collection.Access{}, false
}

func TestReach_SaysWhatASubscriptionIsToldOf(t *testing.T) {
	t.Parallel()
	const ann, bob = "user:ann", "key:bob"
	everything := []string{"*", "public.failed", "member.failed", "owner.failed", "admin.failed", "gone.failed"}
	guest, member := subscription.Reach{}, subscription.Reach{Role: principal.Member, Principal: ann}
	admin, platform := subscription.Reach{Role: principal.Admin, Principal: ann}, subscription.Reach{Role: principal.Platform, Principal: ann}
	nobodys := subscription.Reach{Role: principal.Member}
	limited := subscription.Reach{Role: principal.Admin, Principal: ann, Collections: []string{"member", "owner", "gone"}}
	for _, c := range []struct {
		name, event, owner string
		reach              subscription.Reach
		want               bool
	}{
		{"a guest, public", "public.created", ann, guest, true},
		{"a guest, public and anonymous's", "public.created", "", guest, true},
		{"a guest, for members", "member.created", "", guest, false},
		{"a guest, for owners", "owner.created", ann, guest, false},
		{"a guest, for owners, anonymous's", "owner.created", "", guest, false},
		{"a guest, for admins", "admin.created", "", guest, false},
		{"a member, public", "public.updated", bob, member, true},
		{"a member, for members", "member.deleted", bob, member, true},
		{"a member, its own", "owner.updated", ann, member, true},
		{"a member, somebody else's", "owner.updated", bob, member, false},
		{"a member, anonymous's", "owner.updated", "", member, false},
		{"a member without a name, anonymous's", "owner.updated", "", nobodys, false},
		{"a member, for admins, its own", "admin.created", ann, member, false},
		{"an admin, somebody else's", "owner.created", bob, admin, true},
		{"an admin, for admins", "admin.created", bob, admin, true},
		{"a platform admin, for admins", "admin.created", bob, platform, true},
		{"a guest, a failed write to what is public", "public.failed", ann, guest, true},
		{"a guest, a failed write to what is not", "member.failed", ann, guest, false},
		{"a member, somebody else's failed write", "member.failed", bob, member, true},
		{"a member, its own failed write", "owner.failed", ann, member, true},
		{"a member, somebody else's failed write to what is owned", "owner.failed", bob, member, false},
		{"limited, in its collections", "member.created", bob, limited, true},
		{"limited, in others", "public.created", bob, limited, false},
		{"limited, what is no collection's", "subscription.disabled", "", limited, true},
		{"a guest, what is no collection's", "subscription.disabled", "", guest, true},
		{"a member, a collection that is gone", "gone.created", ann, member, false},
		{"an admin, a collection that is gone", "gone.created", bob, admin, true},
		{"limited, a collection that is gone", "gone.failed", bob, limited, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := subscription.Subscription{Key: subscription.Key{Tenant: "default", ID: "1"}, Events: everything, Reach: c.reach}
			x := subscription.NewIndex([]subscription.Subscription{s}, rules)
			if got := len(x.Match("default", c.event, c.owner, []byte(`{}`))) == 1; got != c.want {
				t.Errorf("matched %v, want %v", got, c.want)
			}
			e := subscription.Event{Type: c.event, Owner: c.owner, Body: []byte(`{"data":{}}`)}
			if got := s.Wants(&e, rules); got != c.want {
				t.Errorf("Wants %v, want %v", got, c.want)
			}
			limits := len(c.reach.Collections) > 0
			if got := s.Wants(&e, nil); !limits && !got {
				t.Error("without rules it is not told")
			}
		})
	}
}

// Whoever may read a record is told of it; of a write that failed, it is the
// writer who counts: the event shows what was submitted.
func TestEventOf_SaysWhoseItIs(t *testing.T) {
	t.Parallel()
	const ann, bob = "user:ann", "key:bob"
	subscribers := []subscription.Subscription{
		{Key: subscription.Key{Tenant: "default", ID: "ann's"}, Reach: subscription.Reach{Role: principal.Member, Principal: ann}},
		{Key: subscription.Key{Tenant: "default", ID: "bob's"}, Reach: subscription.Reach{Role: principal.Member, Principal: bob}},
	}
	for i := range subscribers {
		subscribers[i].Events = []string{"*", "owner.failed"}
	}
	x := subscription.NewIndex(subscribers, rules)
	id := record.NewID(1_767_225_600_123_456, 1, 0)
	op := record.Operation{ID: id, Key: record.Key{Tenant: "default", Collection: "owner", ID: "r"}, Action: record.Replace, Body: []byte(`{}`), Principal: bob}
	rec := &record.Record{Key: op.Key, Version: 2, Data: op.Body, CreatedBy: id, UpdatedBy: id, Owner: ann}
	for _, c := range []struct {
		name, owner, told string
		outcome           record.Outcome
	}{
		{"an admin's update", ann, "ann's", record.Outcome{Operation: op, Status: record.Done, Version: 2, Owner: ann, Record: rec}},
		{"a refused one", bob, "bob's", record.Outcome{Operation: op, Status: record.Failed, Owner: ann, Code: "forbidden"}},
	} {
		e := subscription.EventOf(&c.outcome)
		if e.Owner != c.owner {
			t.Errorf("%s: the event is %q's, want %q's", c.name, e.Owner, c.owner)
		}
		if got := x.MatchOutcome(&c.outcome); len(got) != 1 || got[0].ID != c.told {
			t.Errorf("%s: told %v, want %s", c.name, got, c.told)
		}
		for i := range subscribers {
			if s := &subscribers[i]; s.Wants(&e, rules) != (s.ID == c.told) {
				t.Errorf("%s: %s is told otherwise when it is replayed", c.name, s.ID)
			}
		}
	}
}
