package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/record"
)

// people is a service with a worker and a few who ask, each as the header that
// shows their credentials.
type people struct {
	cast
	ann, bob, admin, annKey, acme string
}

func peopled(t *testing.T) *people {
	t.Helper()
	s := working(t, func(s *settings) { s.config = "testdata/access.yaml" })
	p := &people{cast: cast{s, map[string]string{}}}
	p.ann, p.bob, p.admin = p.user("default", "ann", "member"), p.user("default", "bob", "member"), p.user("default", "admin", "admin")
	p.acme = p.user("acme", "ann", "member")
	_, p.annKey = p.key("default", p.ids["default/ann"], nil, everyday...)
	return p
}

// listed finds the IDs in a list that who sees, to its end.
func (p *people) listed(path, who string) (ids []string, pages int) {
	p.t.Helper()
	for next := path; ; pages++ {
		var got page
		p.get(next, who).want(200).into(&got)
		ids = append(ids, got.members(p.t, "id")...)
		if got.NextCursor == nil {
			return ids, pages + 1
		}
		next = path + "&cursor=" + *got.NextCursor
	}
}

func TestOwner_OthersWritesAreRefusedWhenTheyAreApplied(t *testing.T) {
	t.Parallel()
	p := peopled(t)
	const at = "/api/owner_owner/a"
	p.put(at, `{"text":"ann's"}`, p.ann, waited).want(201)
	writes := map[string]func(headers ...string) *answer{
		"PUT":    func(h ...string) *answer { return p.put(at, `{"text":"other"}`, h...) },
		"PATCH":  func(h ...string) *answer { return p.patch(at, `{"text":"other"}`, h...) },
		"DELETE": func(h ...string) *answer { return p.delete(at, h...) },
	}
	for name, write := range writes {
		op := write(p.bob).accepted()
		var ended operation
		p.get("/api/operations/"+op.ID+"?wait=20", p.bob).want(200).into(&ended)
		if ended.Status != "failed" || ended.Error == nil || ended.Error.Code != "forbidden" {
			t.Errorf("%s by bob ended %+v", name, ended)
		}
		a := write(p.bob, waited)
		a.problem(403, "forbidden")
		if strings.Contains(string(a.body), "ann") {
			t.Errorf("%s: the refusal says whose it is: %s", name, a.body)
		}
		write(p.bob, waited, `If-Match: "7"`).problem(403, "forbidden") // before the precondition, which would tell
	}
	if got := p.get(at, p.ann).want(200).fields(); got["version"] != "1" || got["text"] != `"ann's"` {
		t.Errorf("bob changed it: %v", got)
	}
	p.patch(at, `{"text":"admin's"}`, p.admin, waited).want(200)
	p.patch(at, `{"text":"again"}`, p.ann, waited).want(200) // it is still ann's
	p.get(at, p.bob).problem(404, "not_found")
	p.patch(at, `{"text":"by key"}`, p.annKey, waited).want(200)
	p.put("/api/owner_owner/k", `{"text":"x"}`, p.annKey, waited).want(201)
	p.patch("/api/owner_owner/k", `{"text":"y"}`, p.ann, waited).want(200) // what her key made is hers
	p.delete(at, p.admin, waited).want(204)
	p.put(at, `{"text":"bob's"}`, p.bob, waited).want(201) // what does not exist is everybody's
	p.patch(at, `{"text":"other"}`, p.ann, waited).problem(403, "forbidden")
}

func TestOwner_OthersSeeNothing(t *testing.T) {
	t.Parallel()
	p := peopled(t)
	p.post("/api/subscriptions", subscribe(hook("x")), p.ann).want(201)
	p.post("/api/subscriptions", subscribe(hook("y")), p.admin).want(201)
	var mine []string
	for i := range 5 {
		op := p.post("/api/owner_owner", fmt.Sprintf(`{"text":"%d","kind":"mine"}`, i), p.ann).accepted()
		mine = append([]string{op.ID}, mine...)
		p.post("/api/owner_owner", `{"text":"bob","kind":"his"}`, p.bob).accepted()
	}
	p.drained()
	for _, path := range []string{"/api/owner_owner?limit=2", "/api/owner_owner?limit=2&kind=mine"} {
		for who, want := range map[string][]string{p.ann: mine, p.annKey: mine} {
			if got, _ := p.listed(path, who); !slices.Equal(got, want) {
				t.Errorf("%s: ann sees %v, want %v", path, got, want)
			}
		}
		if got, _ := p.listed(path, p.bob); slices.ContainsFunc(got, func(id string) bool { return slices.Contains(mine, id) }) {
			t.Errorf("%s: bob sees ann's among %v", path, got)
		}
	}
	if got, _ := p.listed("/api/owner_owner?limit=2&kind=mine", p.bob); len(got) != 0 {
		t.Errorf("bob's filter finds %v", got)
	}
	for _, id := range mine {
		p.get("/api/owner_owner/"+id, p.bob).problem(404, "not_found")
		p.get("/api/operations/"+id, p.bob).problem(404, "not_found")
		p.get("/api/operations/"+id, p.annKey).want(200)
		p.get("/api/operations/"+id, p.acme).problem(404, "not_found")
		deliveries := func(who string) []string {
			ids, _ := p.listed("/api/deliveries?limit=1&operation="+id, who)
			return ids
		}
		if got := deliveries(p.bob); len(got) != 0 {
			t.Errorf("bob sees the deliveries %v", got)
		}
		if got := deliveries(p.ann); len(got) != 2 { // also that to the admin: it is about her record
			t.Errorf("ann sees the deliveries %v", got)
		}
		for _, d := range deliveries(p.admin) {
			p.get("/api/deliveries/"+d, p.bob).problem(404, "not_found")
		}
	}
	if got, _ := p.listed("/api/operations?limit=2&collection=owner_owner", p.bob); len(got) != 5 {
		t.Errorf("bob sees %d operations, 5 are his", len(got))
	}
	// A cursor says where a page begins, not what is in it: ann's is no use to bob.
	var first page
	p.get("/api/owner_owner?limit=2", p.ann).want(200).into(&first)
	var next page
	p.get("/api/owner_owner?limit=2&cursor="+*first.NextCursor, p.bob).want(200).into(&next)
	for _, id := range next.members(t, "id") {
		if slices.Contains(mine, id) {
			t.Errorf("bob sees %s with ann's cursor", id)
		}
	}
}

// More are hidden between two that can be seen than one page passes over.
func TestOwner_ListsReachTheirEndThroughWhatIsHidden(t *testing.T) {
	t.Parallel()
	p := peopled(t)
	store := func(n int, who string) (ids []string) {
		t.Helper()
		operations := make([]record.Operation, n)
		at := time.Now().UnixMicro()
		for i := range operations {
			id := record.NewID(at+int64(i), 1, 0)
			operations[i] = record.Operation{
				ID: id, Key: record.Key{Tenant: "default", Collection: "owner_owner", ID: id}, Action: record.Create, Body: []byte(`{}`), Principal: "user:" + p.ids["default/"+who],
			}
			ids = append(ids, id)
		}
		for chunk := range slices.Chunk(operations, 500) {
			_, err := p.store.Apply(t.Context(), chunk, nil, time.Now(), func(current *record.Record, op *record.Operation) (*record.Record, record.Outcome) {
				return record.Apply(current, op, nil)
			})
			must(t, err)
		}
		return ids
	}
	first := store(1, "bob")
	store(6000, "ann")
	last := store(1, "bob")
	want := []string{last[0], first[0]}
	for _, limit := range []int{1, 50, 500} {
		got, pages := p.listed(fmt.Sprintf("/api/operations?limit=%d", limit), p.bob)
		if !slices.Equal(got, want) || pages < 2 {
			t.Errorf("limit %d: bob sees %v on %d pages, want %v on two or more", limit, got, pages, want)
		}
	}
	var short page
	p.get("/api/operations?limit=50", p.bob).want(200).into(&short)
	if len(short.Items) != 1 || short.NextCursor == nil {
		t.Errorf("the first page has %d items and the cursor %v: want one, and that there is more", len(short.Items), short.NextCursor)
	}
	if got, pages := p.listed("/api/owner_owner?limit=1", p.bob); !slices.Equal(got, want) || pages != 2 {
		t.Errorf("of the records bob sees %v on %d pages", got, pages)
	}
}

func TestOwner_WhoOnlyWritesIsNotShownTheRecord(t *testing.T) {
	t.Parallel()
	p := peopled(t)
	const secret = "what only admins read"
	p.put("/api/admin_public/a", `{"text":"`+secret+`"}`, p.admin, waited).want(201)
	p.put("/api/owner_public/a", `{"text":"`+secret+`"}`, p.ann, waited).want(201)
	for _, at := range []string{"/api/admin_public/a", "/api/owner_public/a"} {
		for name, who := range map[string]string{"anonymous": "Authorization:", "bob": p.bob} {
			a := p.patch(at, `{"kind":"x"}`, who, waited).wantHeader("Preference-Applied", "").wantHeader("ETag", "")
			if a.accepted(); strings.Contains(string(a.body), secret) {
				t.Errorf("%s, %s: %s", at, name, a.body)
			}
			again := p.patch(at, `{"kind":"x"}`, who, waited, "Idempotency-Key: "+at+name)
			repeat := p.patch(at, `{"kind":"x"}`, who, waited, "Idempotency-Key: "+at+name).wantHeader("Idempotency-Replayed", "true")
			if again.accepted().ID != repeat.accepted().ID || strings.Contains(string(repeat.body), secret) {
				t.Errorf("%s, %s: repeated: %s", at, name, repeat.body)
			}
		}
	}
}

func TestIdempotency_KeysAreOfOnePrincipalAndTenant(t *testing.T) {
	t.Parallel()
	p := peopled(t)
	root := p.user("default", "root", "platform")
	const key = "Idempotency-Key: the same"
	seen := map[string]string{}
	for name, headers := range map[string][]string{
		"ann": {p.ann}, "bob": {p.bob}, "admin": {p.admin}, "anonymous": {"Authorization:"}, "ann of acme": {p.acme},
		"root": {root}, "root in acme": {root, "Waybill-Tenant: acme"},
	} {
		for kind, send := range map[string]func() *answer{
			"one":  func() *answer { return p.post("/api/public_public", `{"text":"x"}`, append(headers, key)...) },
			"bulk": func() *answer { return p.bulk("/api/public_public", "{}\n{}\n", append(headers, key+" bulk")...) },
		} {
			fresh := send().want(202).wantHeader("Idempotency-Replayed", "")
			repeat := send().want(202).wantHeader("Idempotency-Replayed", "true")
			at := fresh.header.Get("Location")
			if repeat.header.Get("Location") != at {
				t.Errorf("%s, %s: %s, then %s", name, kind, at, repeat.header.Get("Location"))
			}
			if other, taken := seen[at]; taken {
				t.Errorf("%s, %s: got the operation of %s", name, kind, other)
			}
			seen[at] = name
		}
	}
	a := p.post("/api/public_public", `{"text":"x"}`, p.annKey, key) // acts for ann
	if a.wantHeader("Idempotency-Replayed", "true"); seen[a.header.Get("Location")] != "ann" {
		t.Errorf("ann's key got %s", a.header.Get("Location"))
	}
}
