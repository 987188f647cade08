package httpapi_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func (a *answer) operations() []operation {
	a.t.Helper()
	var got struct {
		Operations []operation `json:"operations"`
	}
	a.want(202).wantHeader("Content-Type", plainJSON).into(&got)
	return got.Operations
}

func TestAPI_BulkTakesEveryEndOfLine(t *testing.T) {
	t.Parallel()
	s := newService(t)
	const a, b = `{"content":"a"}`, `{"content":"b"}`
	for name, body := range map[string]string{
		"LF":                   a + "\n" + b + "\n",
		"LF, none at the end":  a + "\n" + b,
		"CRLF":                 a + "\r\n" + b + "\r\n",
		"CRLF, none at end":    a + "\r\n" + b,
		"mixed":                a + "\r\n" + b + "\n",
		"white space on lines": " " + a + " \n\t" + b + "\t\n",
	} {
		if got := s.bulk("/api/messages", body).operations(); len(got) != 2 {
			t.Errorf("%s: %d operations", name, len(got))
		}
	}
	if got := s.bulk("/api/messages", a, "Content-Type: application/x-ndjson; charset=UTF-8"); got.status != 415 { // two content types
		t.Errorf("two content types: %d", got.status)
	}
	charset := s.send("POST", "/api/messages", strings.NewReader(a), "Content-Type: application/x-ndjson; charset=UTF-8")
	if got := charset.operations(); len(got) != 1 {
		t.Errorf("with a charset: %d operations", len(got))
	}
}

func TestAPI_BulkOfTheMostLines(t *testing.T) {
	t.Parallel()
	s := working(t)
	const n = 10_000
	operations := s.bulk("/api/messages", ndjson(n, 0, ""), "Prefer: wait=1").operations()
	if len(operations) != n {
		t.Fatalf("%d operations", len(operations))
	}
	ids := make([]string, n)
	for i, op := range operations {
		ids[i] = op.ID
		if op.Record != op.ID || op.Action != "create" || op.Status != "queued" {
			t.Fatalf("operation %d is %+v", i, op)
		}
	}
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != n {
		t.Error("the IDs do not ascend")
	}
	s.drained()
	next, read := "/api/messages?order=asc&limit=500", 0
	for {
		p := s.page(next)
		for _, item := range p.Items {
			var m struct{ ID, Content string }
			must(t, json.Unmarshal(item, &m))
			if m.ID != ids[read] || m.Content != "line "+strconv.Itoa(read+1) {
				t.Fatalf("record %d is %+v, want the ID %s", read, m, ids[read])
			}
			read++
		}
		if p.NextCursor == nil {
			break
		}
		next = "/api/messages?order=asc&limit=500&cursor=" + *p.NextCursor
	}
	if read != n {
		t.Errorf("%d records were stored", read)
	}
}

func TestAPI_BulkNamesAllBadLines(t *testing.T) {
	t.Parallel()
	s := newService(t)
	body := strings.Split(ndjson(300, 0, ""), "\n")
	for i := range 250 {
		body[i] = `{"content":""}`
	}
	p := problem{}
	a := s.bulk("/api/messages", strings.Join(body, "\n")).want(422)
	a.into(&p)
	if p.Code != "invalid_record" || !strings.Contains(p.Detail, "250") || len(p.Errors) == 0 || p.Errors[0].Location != "line[1].content" {
		t.Errorf("got %.600s", a.body)
	}
	// The worst kind of failure gives the status.
	body[299] = "{"
	s.bulk("/api/messages", strings.Join(body, "\n")).want(400)
}
