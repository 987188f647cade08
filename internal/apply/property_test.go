package apply_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
)

const todos = `
collections:
  todos:
    access: {write: owner}
    schema: {type: object, required: [text], properties: {text: {type: string}}}
`

const notes = `
  notes:
    schema: {type: object, required: [text], properties: {text: {type: string}}}
`

// playing plays s in a world that is broken as told, and returns what was wrong
// in the end: with the promises on the way, or with the outcome.
func playing(t *testing.T, s schedule, b broken) (wrong []string, trace []string) {
	t.Helper()
	contexts, err := handlerContexts()
	if err != nil {
		t.Fatal(err)
	}
	old, err := collection.Parse("old.yaml", []byte(todos))
	if err != nil {
		t.Fatal(err)
	}
	both, err := collection.Parse("new.yaml", []byte(todos+notes))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(*testing.T) {
		w := newWorld(b)
		p := &play{world: w, plan: s.Batches, accepted: map[string]record.Operation{}, repeated: map[string]bool{}, contexts: contexts, old: old, new: both}
		p.run(s)
		wrong, trace = slices.Concat(w.violations, p.compare()), w.trace
	})
	return wrong, trace
}

// compare holds the store against the model: all that was accepted, applied one
// by one in ID order.
func (p *play) compare() (wrong []string) {
	records := map[record.Key]*record.Record{}
	for _, id := range slices.Sorted(maps.Keys(p.accepted)) {
		want := p.one(records, p.accepted[id])
		got, found := p.ended[id]
		if !found {
			wrong = append(wrong, fmt.Sprintf("operation %s is lost", short(id)))
			continue
		}
		if d := cmp.Diff(want, got); d != "" {
			wrong = append(wrong, fmt.Sprintf("operation %s (-one by one +stored):\n%s", short(id), d))
		}
	}
	if d := cmp.Diff(records, p.records); d != "" {
		wrong = append(wrong, fmt.Sprintf("records (-one by one +stored):\n%s", d))
	}
	for id := range p.ended {
		if _, ok := p.accepted[id]; !ok {
			wrong = append(wrong, fmt.Sprintf("operation %s was never accepted", short(id)))
		}
	}
	return append(append(wrong, p.leftMarks()...), p.wrongNews()...)
}

// one applies one operation to records, as the meaning of a write is.
func (p *play) one(records map[record.Key]*record.Record, op record.Operation) record.Outcome {
	c, _ := p.new.Get(op.Collection)
	current := records[op.Key]
	if op.Collection == "todos" && current != nil && !op.Admin && (op.Principal == "" || op.Principal != current.Owner) {
		return record.Outcome{Operation: op, Status: record.Failed, Code: fault.Forbidden, Detail: "the record is somebody else's", Owner: current.Owner}
	}
	after, outcomes := record.Fold(current, []record.Operation{op}, c.Merge)
	if after != current && poisoned(after) {
		kind, detail, _ := store.Refused(errPoison)
		return record.Outcome{Operation: op, Status: record.Failed, Code: kind, Detail: detail, Owner: outcomes[0].Owner}
	}
	records[op.Key] = after
	if after == nil {
		delete(records, op.Key)
	}
	return outcomes[0]
}

// leftMarks finds marks of operations that have ended. One that was sent again
// may keep its mark, if that api died at it: whoever comes next clears it.
func (p *play) leftMarks() (wrong []string) {
	for key, marks := range p.marks {
		for id := range marks {
			if _, ok := p.accepted[id]; ok && !p.repeated[id] {
				wrong = append(wrong, fmt.Sprintf("the mark of %s on %s is left", short(id), short(key.ID)))
			}
		}
	}
	return wrong
}

// wrongNews finds published outcomes that are not those in the store.
func (p *play) wrongNews() (wrong []string) {
	for _, o := range p.published {
		end := p.ended[o.ID]
		if o.Status != string(end.Status) || o.Version != end.Version || o.Code != string(end.Code) || o.Created != end.Created || o.Owner != end.Owner {
			wrong = append(wrong, fmt.Sprintf("published of %s: %+v", short(o.ID), o))
		}
	}
	return wrong
}

func TestHandler_WhateverTheScheduleTheOutcomeIsTheFoldInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		wrong, trace := playing(t, schedules.Draw(rt, "schedule"), broken{})
		if len(wrong) > 0 {
			rt.Fatalf("%s\n\nWhat happened:\n%s", strings.Join(wrong, "\n"), strings.Join(trace, "\n"))
		}
	})
}

// The property must be able to fail: in a world that is broken it does.
func TestSchedules_FindWhatIsBroken(t *testing.T) {
	t.Parallel()
	tests := map[string]broken{
		"nothing is ever under way":            {marks: true},
		"what is known is applied again":       {dedupe: true},
		"creates in the queue are not noticed": {lookup: true},
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const most = 2000
			for seed := range most {
				if wrong, _ := playing(t, schedules.Example(seed), b); len(wrong) > 0 {
					t.Logf("found by schedule %d: %.60s", seed, wrong[0])
					return
				}
			}
			t.Fatalf("%d schedules found nothing wrong", most)
		})
	}
}
