package accept_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/testenv"
	"github.com/waybill-dev/waybill/tasks"
)

// A write sent after another's 202 has the higher ID, whichever api took either.
func TestAcceptor_IDsSortInAcceptedOrder(t *testing.T) {
	t.Parallel()
	const writers, each = 16, 40
	url := testenv.RedisURL(t)
	apis := []*bundle{setupOn(t, url, accept.Options{}), setupOn(t, url, accept.Options{})}
	var mu sync.Mutex
	highest := ""
	ids := map[string]bool{}
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for j := range each {
				mu.Lock()
				before := highest
				mu.Unlock()
				w := post(`{}`)
				if j%2 == 0 {
					w = put("r", `{}`)
				}
				accepted, err := apis[(i+j)%2].Submit(context.Background(), w)
				if err != nil {
					t.Errorf("submit: %v", err)
					return
				}
				mu.Lock()
				if accepted.ID <= before {
					t.Errorf("%s was sent after the 202 of %s", accepted.ID, before)
				}
				highest = max(highest, accepted.ID)
				ids[accepted.ID] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(ids) != writers*each {
		t.Errorf("%d different IDs for %d writes", len(ids), writers*each)
	}
}

func TestAcceptor_AloneAWriteIsItsOwnBatch(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	for range 3 {
		accepted := b.submit(t, post(`{}`))
		if accepted.Key.ID != accepted.ID {
			t.Errorf("the record of a POST is %s, its operation %s", accepted.Key.ID, accepted.ID)
		}
		if id := record.BatchID(accepted.ID); id != accepted.ID || !b.inQueue(t, id) {
			t.Errorf("operation %s is not the first and only of its task", accepted.ID)
		}
	}
	if d := cmp.Diff([]int{1, 1, 1}, b.queue.sizes()); d != "" {
		t.Errorf("operations in each task (-want +got):\n%s", d)
	}
}

// submitAll submits writes side by side; each error goes to the channel.
func (b *bundle) submitAll(writes ...*accept.Write) <-chan error {
	errs := make(chan error, len(writes))
	for _, w := range writes {
		go func() {
			_, err := b.Submit(context.Background(), w)
			errs <- err
		}()
	}
	return errs
}

func TestAcceptor_WhoArrivesDuringAnEnqueueFormsTheNextBatches(t *testing.T) {
	t.Parallel()
	repeat := func(n, size int) []*accept.Write {
		return slices.Repeat([]*accept.Write{post(`{"content":"` + strings.Repeat("x", size-14) + `"}`)}, n)
	}
	tests := []struct {
		name   string
		writes []*accept.Write
		want   []int // operations in each task after the first
	}{
		{"all at once", repeat(20, 100), []int{20}},
		{"as many operations as a task may hold", repeat(tasks.MaxOperations, 20), []int{tasks.MaxOperations}},
		{"more than a task may hold", repeat(tasks.MaxOperations+88, 20), []int{tasks.MaxOperations, 88}},
		{"as many bytes as a task may hold", repeat(4, tasks.MaxBytes/4), []int{4}},
		{"more bytes than a task may hold", repeat(5, 100<<10), []int{2, 2, 1}},
		{"each larger than a task", repeat(2, tasks.MaxBytes+1), []int{1, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, accept.Options{Wait: soon})
			entered, release := b.queue.hold()
			defer release()
			first := b.submitAll(post(`{}`))
			receive(t, entered, "the first enqueue")
			rest := b.submitAll(tt.writes...)
			b.pending(t, len(tt.writes))
			release()
			for range tt.writes {
				if err := receive(t, rest, "a 202"); err != nil {
					t.Fatal(err)
				}
			}
			if err := receive(t, first, "the first 202"); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(append([]int{1}, tt.want...), b.queue.sizes()); d != "" {
				t.Errorf("operations in each task (-want +got):\n%s", d)
			}
			b.checkNames(t)
		})
	}
}

// checkNames holds all tasks that were taken to the naming of operations: by
// index within a batch, ever rising.
func (b *bundle) checkNames(t testing.TB) {
	t.Helper()
	last := ""
	for _, task := range b.queue.taken() {
		for i, op := range b.queue.tasks[task] {
			if record.BatchID(op.ID) != task || !strings.HasSuffix(op.ID, fmt.Sprintf("%04x", i)) {
				t.Fatalf("operation %d of task %s is %s", i, task, op.ID)
			}
			if op.ID <= last {
				t.Fatalf("%s comes after %s", op.ID, last)
			}
			last = op.ID
		}
	}
}

func TestAcceptor_WhoGivesUpBeforeTheBatchLeavesIsNotInIt(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{Wait: soon})
	entered, release := b.queue.hold()
	defer release()
	first := b.submitAll(put("first", `{}`))
	receive(t, entered, "the first enqueue")
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan error, 1)
	go func() {
		_, err := b.Submit(ctx, put("gone", `{}`))
		gone <- err
	}()
	b.pending(t, 1)
	cancel()
	if err := receive(t, gone, "the end of the wait"); err == nil {
		t.Fatal("a write that was given up has no error")
	}
	last := b.submitAll(put("last", `{}`))
	b.pending(t, 2)
	release()
	for _, c := range []<-chan error{first, last} {
		if err := receive(t, c, "a 202"); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]int{1, 1}, b.queue.sizes()); d != "" {
		t.Errorf("operations in each task (-want +got):\n%s", d)
	}
	if m := b.marks(t, "gone"); len(m) > 0 {
		t.Errorf("the write that was given up left marks: %v", m)
	}
}

func TestAcceptor_OneWhoGivesUpTakesNobodyWithHim(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{Wait: soon})
	entered, release := b.queue.hold()
	defer release()
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan error, 1)
	go func() {
		_, err := b.Submit(ctx, put("r", `{}`))
		gone <- err
	}()
	receive(t, entered, "the enqueue") // from here on the write may arrive, whoever waits for it
	cancel()
	if err := receive(t, gone, "the end of the wait"); err == nil {
		t.Fatal("a write that was given up has no error")
	}
	release()
	testenv.Eventually(t, soon, "the batch arrives nevertheless", func() error {
		if n := len(b.queue.taken()); n != 1 {
			return fmt.Errorf("%d tasks", n)
		}
		return nil
	})
}

func TestAcceptor_MarksWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	for _, action := range []record.Action{record.Replace, record.Patch, record.Delete} {
		w := put("r", `{}`)
		w.Action = action
		accepted := b.submit(t, w)
		if m := b.marks(t, "r"); !slices.Equal(m, []string{accepted.ID}) {
			t.Errorf("%s: under way are %v, want %s alone", action, m, accepted.ID)
		}
		if err := accept.NewUnderWay(b.rc).Clear(t.Context(), accept.Mark{Record: accepted.Key, Operation: accepted.ID}); err != nil {
			t.Fatal(err)
		}
		if m := b.marks(t, "r"); len(m) > 0 {
			t.Errorf("%s: cleared, and yet %v", action, m)
		}
	}
	created := b.submit(t, post(`{}`))
	if m := b.marks(t, created.ID); len(m) > 0 {
		t.Errorf("a create is marked: %v", m)
	}
}
