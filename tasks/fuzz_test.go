package tasks

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzDecodeApply: whatever a payload is, it is refused as unreadable or read as
// operations that survive another journey unchanged.
func FuzzDecodeApply(f *testing.F) {
	files, err := filepath.Glob("testdata/apply-*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("golden files: %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"v":2,"operations":[{"id":"a"}]}`))
	f.Add([]byte("{\"v\":1,\"operations\":[{\"id\":\"\xff\",\"body\": [ 1 , \"\xff\" ] }]}"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		first, err := DecodeApply(payload)
		if err != nil {
			if !errors.Is(err, ErrUnreadable) {
				t.Fatalf("%v is not ErrUnreadable", err)
			}
			return
		}
		again, err := EncodeApply(first)
		if err != nil {
			t.Fatalf("read, but cannot be written: %v", err)
		}
		second, err := DecodeApply(again)
		if err != nil {
			t.Fatalf("written, but cannot be read: %v", err)
		}
		third, err := EncodeApply(second)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(again), string(third)); diff != "" {
			t.Errorf("changed on the way:\n%s", diff)
		}
	})
}

// FuzzDecodeDeliver: the same of subscriptions, of which there is always one.
func FuzzDecodeDeliver(f *testing.F) {
	text, err := os.ReadFile(deliverGolden)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"v":2,"subscriptions":[{"tenant":"t","id":"a"}]}`))
	f.Add([]byte("{\"v\":1,\"subscriptions\":[{\"tenant\":\"\xff<&\u2028\",\"id\":\"\xff\"}]}"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		first, err := DecodeDeliver(payload)
		if err != nil {
			if !errors.Is(err, ErrUnreadable) || first != nil {
				t.Fatalf("%v, %v is not ErrUnreadable alone", first, err)
			}
			return
		}
		if len(first) == 0 {
			t.Fatal("no subscription, and no error")
		}
		task, err := NewDeliver(nil, first...)
		if err != nil {
			t.Fatalf("read, but cannot be written: %v", err)
		}
		second, err := DecodeDeliver(task.Payload())
		if err != nil {
			t.Fatalf("written, but cannot be read: %v", err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("changed on the way:\n%s", diff)
		}
	})
}
