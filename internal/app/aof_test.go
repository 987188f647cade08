package app_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/record"
)

// enqueued returns every operation that was ever in the writes queue, by ID, as
// Redis's append-only files in dir tell. An operation that travelled more than
// once must have been the same each time.
func enqueued(t testing.TB, dir string) map[string]record.Operation {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.incr.aof"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no append-only files in %s (%v)", dir, err)
	}
	all := map[string]record.Operation{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		err = eachCommand(f, func(args [][]byte) error {
			operations, err := operationsOf(args)
			for _, op := range operations {
				op.Reply = "" // of the api that sent it, which for a repeat is another
				if before, known := all[op.ID]; known && fmt.Sprint(before) != fmt.Sprint(op) {
					return fmt.Errorf("operation %s travelled as\n%v and as\n%v", op.ID, before, op)
				}
				all[op.ID] = op
			}
			return err
		})
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// eachCommand calls f with each command of an append-only file (in Redis's
// protocol: an array of bulk strings).
func eachCommand(r io.Reader, f func(args [][]byte) error) error {
	b := bufio.NewReaderSize(r, 1<<20)
	for {
		n, err := readLength(b, '*')
		if errors.Is(err, io.EOF) {
			return nil
		}
		args := make([][]byte, n)
		for i := range args {
			var size int
			if size, err = readLength(b, '$'); err != nil {
				break
			}
			args[i] = make([]byte, size+len("\r\n"))
			if _, err = io.ReadFull(b, args[i]); err != nil {
				break
			}
			args[i] = args[i][:size]
		}
		if err == nil {
			err = f(args)
		}
		if err != nil {
			return fmt.Errorf("append-only file: %w", err)
		}
	}
}

// readLength reads a line such as "*3" or "$17"; io.EOF if there is none.
func readLength(b *bufio.Reader, kind byte) (int, error) {
	line, err := b.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("a line %q, want one with %c", line, kind)
	}
	return strconv.Atoi(strings.TrimSuffix(line[1:], "\r\n"))
}

// operationsOf returns what a command puts into the queue: none unless it is the
// HSET asynq:{writes}:t:<id> msg <message> … of asynq's scripts.
func operationsOf(args [][]byte) ([]record.Operation, error) {
	if len(args) < 4 || !bytes.EqualFold(args[0], []byte("HSET")) || !strings.HasPrefix(string(args[1]), "asynq:{writes}:t:") || string(args[2]) != "msg" {
		return nil, nil
	}
	const payload = 2 // field of asynq's message
	for message := args[3]; len(message) > 0; {
		field, wire, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, errors.New("unreadable task message")
		}
		message = message[n:]
		if n = protowire.ConsumeFieldValue(field, wire, message); n < 0 {
			return nil, errors.New("unreadable task message")
		}
		if field == payload {
			value, _ := protowire.ConsumeBytes(message)
			return queue.Operations(value)
		}
		message = message[n:]
	}
	return nil, errors.New("a task without a payload")
}
