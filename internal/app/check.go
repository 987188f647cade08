package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/config"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/store"
)

// Process is a command that takes the settings, as Check knows it.
type Process struct {
	Name  string // api, worker or up
	Roles Roles
}

// Processes returns those that this environment is for: up if it names neither
// Redis nor a database, else api and worker.
func Processes(environment []string) []Process {
	for _, s := range config.Describe(environment) {
		if s.Given && (s.Name == "REDIS_URL" || s.Name == "DATABASE_URL") {
			return []Process{{"api", Roles{API: true}}, {"worker", Roles{Worker: true}}}
		}
	}
	return []Process{{"up", Roles{API: true, Worker: true}}}
}

// Check does all that a start of these processes does before it connects, and
// writes to out what they would use. Its error has a line for each mistake.
func Check(environment []string, processes []Process, out io.Writer) error {
	c, err := config.FromEnv(environment)
	_, logErr := newLogger(c, io.Discard)
	collections, collectionsErr := c.Collections()
	mistakes := newLines(err, logErr, collectionsErr)
	var warnings lines
	for _, p := range processes {
		wants := p.completed(c)
		for name, value := range map[string]string{"REDIS_URL": wants.RedisURL, "DATABASE_URL": wants.DatabaseURL} {
			if value == "" {
				mistakes.add(name + " is needed by " + p.Name)
			}
		}
		mistakes.addErr(checkParts(wants, collections))
		if len(mistakes) == 0 {
			mistakes.addErr(checkWhole(wants, p.Roles, &warnings))
		}
	}
	if len(mistakes) > 0 {
		return errors.New(strings.Join(mistakes, "\n"))
	}
	for _, name := range config.Unknown(environment) {
		warnings.add(name + " is set, and is no setting")
	}
	describe(out, environment, processes, collections, warnings)
	return nil
}

// completed is c with what up brings itself.
func (p Process) completed(c config.Config) config.Config {
	if p.Name != "up" {
		return c
	}
	if c.DatabaseURL == "" {
		c.DatabaseURL = "sqlite:" + filepath.Join(c.Data, databaseFile)
	}
	if c.RedisURL == "" {
		c.RedisURL = "redis://127.0.0.1" // of its child; nobody connects to it here
	}
	if c.Secret == "" {
		c.Secret = newSecret()
	}
	return c
}

// checkParts makes each part whose settings can be wrong, whatever the others say.
func checkParts(c config.Config, collections *collection.Set) error {
	var all []error
	if _, err := newChannels(c, Version()); err != nil {
		all = append(all, err)
	}
	if c.RedisURL != "" {
		rc, err := queue.Connect(c.RedisURL)
		if err != nil {
			all = append(all, fmt.Errorf("REDIS_URL: %w", err))
		} else {
			all = append(all, rc.Close())
		}
	}
	if c.DatabaseURL != "" {
		s, err := store.Open(c.DatabaseURL, store.Options{})
		if err != nil {
			all = append(all, fmt.Errorf("DATABASE_URL: %w", err))
		} else {
			all = append(all, s.Close())
		}
	}
	_, err := newAuth(c, nil, collections, slog.New(slog.DiscardHandler), nil)
	return errors.Join(append(all, err)...)
}

// checkWhole makes the App itself: what only New finds is found too.
func checkWhole(c config.Config, roles Roles, warnings *lines) error {
	a, err := New(c, roles, slog.New(warner{warnings}))
	if err != nil {
		return err
	}
	return errors.Join(a.queue.Close(), a.redis.Close(), a.store.Close())
}

// describe prints what would be used.
func describe(out io.Writer, environment []string, processes []Process, collections *collection.Set, warnings lines) {
	names := make([]string, len(processes))
	for i, p := range processes {
		names[i] = p.Name
	}
	fmt.Fprintf(out, "Good for %s. They would use:\n\n", strings.Join(names, " and "))
	for _, s := range config.Describe(environment) {
		value, from := s.Value, ""
		switch {
		case value == "":
			value = "not set"
		case !s.Given:
			from = "    (default)"
		}
		fmt.Fprintf(out, "  %-29s %s%s\n", s.Name, value, from)
	}
	declared := make([]string, 0, len(collections.All()))
	for _, one := range collections.All() {
		declared = append(declared, one.Name)
	}
	fmt.Fprintf(out, "  %-29s %s\n", "collections", strings.Join(declared, ", "))
	for _, w := range warnings {
		fmt.Fprintf(out, "\nWarning: %s\n", w)
	}
}

// lines are sayings, each once.
type lines []string

func newLines(errs ...error) (l lines) {
	l.addErr(errors.Join(errs...))
	return l
}

func (l *lines) add(line string) {
	if !slices.Contains(*l, line) {
		*l = append(*l, line)
	}
}

func (l *lines) addErr(err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		l.add(strings.TrimPrefix(line, "settings: "))
	}
}

// warner is a log that keeps its warnings.
type warner struct{ to *lines }

// Enabled implements slog.Handler.
func (w warner) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements slog.Handler.
func (w warner) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += fmt.Sprintf(" (%s %v)", a.Key, a.Value)
		return true
	})
	w.to.add(line)
	return nil
}

// WithAttrs implements slog.Handler.
func (w warner) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup implements slog.Handler.
func (w warner) WithGroup(string) slog.Handler { return w }
