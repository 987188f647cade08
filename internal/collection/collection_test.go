package collection

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// parse returns the collection `c` with a schema in YAML flow style.
func parse(tb testing.TB, schema string) *Collection {
	tb.Helper()
	set, err := Parse("waybill.yaml", []byte("collections:\n  c:\n    schema: "+schema+"\n"))
	if err != nil {
		tb.Fatal(err)
	}
	c, _ := set.Get("c")
	return c
}

func builtin(tb testing.TB, name string) *Collection {
	tb.Helper()
	c, ok := Default().Get(name)
	if !ok {
		tb.Fatalf("there is no built-in collection %s", name)
	}
	return c
}

func TestDefault_IsTheContractsTwoCollections(t *testing.T) {
	t.Parallel()
	set := Default()
	if !set.BuiltIn() {
		t.Error("BuiltIn() = false")
	}
	var names []string
	for _, c := range set.All() {
		names = append(names, c.Name)
		if want := (Access{Public, Public}); c.Access != want {
			t.Errorf("%s: access %v, want %v", c.Name, c.Access, want)
		}
		if c.Indexes != nil || c.Retention != 0 || c.RateLimit.Writes != nil {
			t.Errorf("%s has limits of its own: %+v", c.Name, c)
		}
	}
	if diff := cmp.Diff([]string{"messages", "todos"}, names); diff != "" {
		t.Error(diff)
	}
	want := `{"type":"object","required":["text"],"additionalProperties":false,"properties":{` +
		`"text":{"type":"string","minLength":1,"maxLength":500},"completed":{"type":"boolean","default":false}}}`
	if got := string(builtin(t, "todos").Schema); got != want {
		t.Errorf("schema of todos:\n got %s\nwant %s", got, want)
	}
}

func TestSet_AllIsACopy(t *testing.T) {
	t.Parallel()
	Default().All()[0] = nil
	if Default().All()[0] == nil {
		t.Error("a caller changed the set")
	}
}

func TestLoad_ReadsTheExample(t *testing.T) {
	t.Parallel()
	set, err := Load(filepath.Join("testdata", "waybill.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if set.BuiltIn() {
		t.Error("BuiltIn() = true")
	}
	orders, ok := set.Get("orders")
	if !ok {
		t.Fatal("orders is missing")
	}
	if diff := cmp.Diff(Access{Read: Owner, Write: Member}, orders.Access); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"customer", "paid"}, orders.Indexes); diff != "" {
		t.Error(diff)
	}
	if orders.Retention != 30*24*time.Hour {
		t.Errorf("retention %v", orders.Retention)
	}
	if diff := cmp.Diff(&Rate{N: 100, Per: time.Second}, orders.RateLimit.Writes); diff != "" {
		t.Error(diff)
	}
	notes, _ := set.Get("notes")
	if diff := cmp.Diff(Access{Read: Member, Write: Member}, notes.Access); diff != "" {
		t.Errorf("access that is left out: %s", diff)
	}
	if _, ok := set.Get("nothing"); ok {
		t.Error("Get finds what is not there")
	}
}

func TestLoad_MissingFile(t *testing.T) {
	t.Parallel()
	if _, err := Load(filepath.Join(t.TempDir(), "waybill.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

func TestLoad_MistakesNameTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join("testdata", "broken.yaml")
	_, err := Load(path)
	var mistakes Mistakes
	if !errors.As(err, &mistakes) {
		t.Fatalf("got %v, want Mistakes", err)
	}
	if len(mistakes) != 5 {
		t.Errorf("got %d mistakes, want 5:\n%v", len(mistakes), err)
	}
	for i, line := range strings.Split(err.Error(), "\n") {
		if !strings.HasPrefix(line, path+":") {
			t.Errorf("line %d does not name the file: %s", i, line)
		}
	}
}

func BenchmarkCollection_Record(b *testing.B) {
	for name, body := range map[string]string{
		"messages": `{"content":"` + strings.Repeat("x", 60) + `"}`,
		"todos":    `{"text":"buy milk and bread"}`,
	} {
		c := builtin(b, name)
		b.Run(name, func(b *testing.B) {
			text := []byte(body)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Record("body", text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
