package queue

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

func TestClient_ConfirmsWhatItsReplicasHave(t *testing.T) {
	t.Parallel()
	s := testenv.NewSentinels(t)
	c := NewConfirmedClient(connect(t, s.URL()), 1)
	t.Cleanup(func() { _ = c.Close() })
	must(t, c.Enqueue(t.Context(), newTask("one")))
	if err := c.Enqueue(t.Context(), newTask("one")); !errors.Is(err, ErrConflict) {
		t.Errorf("a second time: %v", err)
	}
	must(t, s.Nodes[1].Pause())
	for _, what := range []string{"two", "two", "one"} { // also what is in already
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		from := time.Now()
		err := c.Enqueue(ctx, newTask(what))
		cancel()
		if err == nil || errors.Is(err, ErrConflict) || Certain(err) {
			t.Errorf("%s, with the replica frozen: %v (certain: %t)", what, err, Certain(err))
		}
		if took := time.Since(from); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
	}
	must(t, s.Nodes[1].Resume())
	testenv.Eventually(t, 10*time.Second, "it is confirmed", func() error {
		if err := c.Enqueue(t.Context(), newTask("two")); !errors.Is(err, ErrConflict) {
			return errors.Join(errors.New("not a conflict"), err)
		}
		return nil
	})
}

func TestClient_WithoutReplicasConfirmsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := NewConfirmedClient(b.rc, 1)
	t.Cleanup(func() { _ = c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.Enqueue(ctx, newTask("one")); err == nil || Certain(err) {
		t.Errorf("error %v", err)
	}
	if found, err := c.Lookup(t.Context(), testQueue, "one"); err != nil || found[0] == nil {
		t.Errorf("the task is %v, %v", found, err)
	}
}

func TestClient_ConfirmsInACluster(t *testing.T) {
	t.Parallel()
	rc := connect(t, testenv.NewCluster(t).URL())
	c := NewConfirmedClient(rc, 1)
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Enqueue(t.Context(), newTask("one")); err == nil || !strings.Contains(err.Error(), "0 of 1 replicas") {
		t.Errorf("without replicas: %v", err)
	}
	node, err := Node(t.Context(), rc, testQueue)
	must(t, err)
	if n, err := node.Exists(t.Context(), keysOf(testQueue).task+"one").Result(); n != 1 || err != nil {
		t.Errorf("the queue's node has %d of it, %v", n, err)
	}
}
