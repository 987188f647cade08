package httpapi_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// walk reads the IDs of a list to its end, calling between after each page.
func (s *service) walk(path string, between func()) []string {
	s.t.Helper()
	var all []string
	for next := path; ; {
		p := s.page(next)
		all = append(all, p.members(s.t, "id")...)
		if p.NextCursor == nil {
			return all
		}
		next = path + "&cursor=" + url.QueryEscape(*p.NextCursor)
		between()
	}
}

// Whoever pages sees each record that was there at the start once, in order,
// however many are written meanwhile.
func TestAPI_ListPagesWhileRecordsAreWritten(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, s *service) {
		var ids []string
		for _, op := range s.bulk("/api/messages", ndjson(23, 0, "")).operations() {
			ids = append(ids, op.ID)
		}
		s.drained()
		insert := func() {
			s.post("/api/messages", `{"content":"meanwhile"}`, waited).want(201)
			s.put("/api/messages/"+ids[11], `{"content":"changed"}`, waited).want(200) // stays where it is
		}
		desc := s.walk("/api/messages?limit=5", insert)
		want := slices.Clone(ids)
		slices.Reverse(want)
		if diff := cmp.Diff(want, desc); diff != "" {
			t.Errorf("newest first (-want +got):\n%s", diff)
		}
		inserts := 0
		asc := s.walk("/api/messages?order=asc&limit=5", func() {
			if inserts++; inserts < 4 {
				insert()
			}
		})
		if len(asc) != 23+4+3 || !slices.Equal(asc[:23], ids) || !slices.IsSorted(asc) {
			t.Errorf("oldest first: %d records %v", len(asc), asc)
		}
	})
}

func TestAPI_ListLimits(t *testing.T) {
	t.Parallel()
	s := working(t)
	if got := strings.TrimSpace(string(s.get("/api/todos").want(200).body)); got != `{"items":[],"next_cursor":null}` {
		t.Errorf("an empty list is %s", got)
	}
	s.bulk("/api/messages", ndjson(520, 0, "")).want(202)
	s.drained()
	for query, want := range map[string]int{"": 50, "?limit=1": 1, "?limit=500": 500, "?order=asc&limit=20": 20} {
		if p := s.page("/api/messages" + query); len(p.Items) != want || p.NextCursor == nil {
			t.Errorf("%q: %d items, cursor %v", query, len(p.Items), p.NextCursor)
		}
	}
	if got := len(s.walk("/api/operations?limit=500", func() {})); got != 520 {
		t.Errorf("%d operations", got)
	}
	if p := s.page("/api/messages?limit=260"); len(s.page("/api/messages?limit=260&cursor="+*p.NextCursor).Items) != 260 {
		t.Error("the second half is not whole")
	} else if last := s.page("/api/messages?limit=260&cursor=" + *p.NextCursor); last.NextCursor != nil {
		t.Error("a list whose last page is full goes on")
	}
}

func TestAPI_ListRefusesBadParameters(t *testing.T) {
	t.Parallel()
	s := working(t)
	s.bulk("/api/messages", ndjson(3, 0, "")).want(202)
	s.bulk("/api/todos", `{"text":"a"}`+"\n"+`{"text":"b"}`).want(202)
	s.drained()
	cursor := *s.page("/api/messages?limit=1").NextCursor
	filtered := *s.page("/api/todos?completed=false&limit=1").NextCursor
	operations := *s.page("/api/operations?limit=1").NextCursor
	for query, at := range map[string]string{
		"messages?limit=0":                                        "query.limit",
		"messages?limit=501":                                      "query.limit",
		"messages?limit=-1":                                       "query.limit",
		"messages?limit=x":                                        "query.limit",
		"messages?limit=":                                         "query.limit",
		"messages?limit=1.0":                                      "query.limit",
		"messages?limit=99999999999999999999":                     "query.limit",
		"messages?limit=1&limit=2":                                "query.limit",
		"messages?cursor=x":                                       "query.cursor",
		"messages?cursor=" + cursor + "A":                         "query.cursor",
		"messages?cursor=" + cursor[1:]:                           "query.cursor",
		"messages?cursor=" + cursor + "%3D":                       "query.cursor",
		"messages?order=asc&cursor=" + cursor:                     "query.cursor",
		"messages?content=x&cursor=" + cursor:                     "query.cursor",
		"messages?cursor=" + operations:                           "query.cursor",
		"todos?cursor=" + cursor:                                  "query.cursor",
		"todos?cursor=" + filtered:                                "query.cursor",
		"todos?completed=true&cursor=" + filtered:                 "query.cursor",
		"operations?cursor=" + cursor:                             "query.cursor",
		"operations?status=done&cursor=" + operations:             "query.cursor",
		"messages?order=up":                                       "query.order",
		"messages?order=":                                         "query.order",
		"messages?order=ASC":                                      "query.order",
		"messages?colour=red":                                     "query.colour",
		"messages?wait=1":                                         "query.wait",
		"messages?since=1":                                        "query.since",
		"messages?id=1":                                           "query.id",
		"messages?version=1":                                      "query.version",
		"todos?completed=yes":                                     "query.completed",
		"todos?completed=":                                        "query.completed",
		"todos?completed=true&completed=true":                     "query.completed",
		"readings?count=many":                                     "query.count",
		"readings?value=0x10":                                     "query.value",
		"readings?place=x":                                        "query.place",
		"readings?sensor=%ff":                                     "query.sensor",
		"readings?sensor=a%00":                                    "query.sensor",
		"messages/a?x=1":                                          "query.x",
		"operations?order=asc":                                    "query.order",
		"operations?limit=0":                                      "query.limit",
		"operations?status=lost":                                  "query.status",
		"operations?status=":                                      "query.status",
		"operations?record=a%2Fb":                                 "query.record",
		"operations?record=":                                      "query.record",
		"operations?id=x":                                         "query.id",
		"operations/0198c0de-0001-7abc-8def-0123456789ab?wait=31": "query.wait",
		"operations/0198c0de-0001-7abc-8def-0123456789ab?wait=-1": "query.wait",
		"operations/0198c0de-0001-7abc-8def-0123456789ab?wait=":   "query.wait",
		"operations/0198c0de-0001-7abc-8def-0123456789ab?wait=x":  "query.wait",
		"operations/0198c0de-0001-7abc-8def-0123456789ab?x=1":     "query.x",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			here := *s
			here.t = t
			here.get("/api/"+query).problem(400, "invalid_parameter", at)
		})
	}
	for _, path := range []string{"/api?x=1", "/openapi.json?x=1"} {
		s.get(path).problem(400, "invalid_parameter", "query.x")
	}
	s.get("/api/operations?collection=nothing").problem(404, "unknown_collection")
}

func TestAPI_ListFilters(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, s *service) {
		for i, body := range []string{
			`{"sensor":"a b","count":1,"value":1.10,"good":true,"limit":7}`,
			`{"sensor":"a b","count":2,"value":1.1,"good":false,"anything":"x"}`,
			`{"sensor":"\u00e9'\"%","count":123456789012345678901234567890,"value":1e400}`,
			`{"count":-1,"anything":5,"place":{"sensor":"a b"}}`,
		} {
			s.put(fmt.Sprintf("/api/readings/r%d", i), body, waited).want(201)
		}
		for query, want := range map[string][]string{
			"sensor=a+b":                           {"r1", "r0"},
			"sensor=a%20b&order=asc":               {"r0", "r1"},
			"sensor=a":                             {},
			"sensor=" + url.QueryEscape(`é'"%`):    {"r2"},
			"sensor=a+b&good=true":                 {"r0"},
			"good=false":                           {"r1"},
			"count=1":                              {"r0"},
			"count=-1":                             {"r3"},
			"count=123456789012345678901234567890": {"r2"},
			"count=123456789012345678901234567891": {},
			"value=1.10":                           {"r0"},
			"value=1e400":                          {"r2"},
			"anything=x":                           {"r1"},
			"anything=5":                           {"r3"},
			"sensor=":                              {},
		} {
			if got := s.page("/api/readings?"+query).members(t, "id"); !cmp.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", query, got, want)
			}
		}
		// A field called limit is no filter: the parameter is the page's.
		if got := s.page("/api/readings?limit=3"); len(got.Items) != 3 {
			t.Errorf("limit=3 gives %d", len(got.Items))
		}
		all := s.walk("/api/readings?sensor=a+b&limit=1", func() {})
		if !slices.Equal(all, []string{"r1", "r0"}) {
			t.Errorf("paged under a filter: %v", all)
		}
	})
}
