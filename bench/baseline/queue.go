package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
)

// taskType is the type of the one task there is.
const taskType = "message:store"

// message is the payload of a task.
type message struct {
	ID   uuid.UUID       `json:"id"`
	Data json.RawMessage `json:"data"`
}

// runEnqueue serves the API with a task for each write.
func (s *settings) runEnqueue(ctx context.Context) error {
	rc, err := s.connectRedis()
	if err != nil {
		return err
	}
	defer func() { _ = rc.Close() }()
	client := asynq.NewClientFromRedisClient(rc)
	if s.pipeline {
		pipelined, err := rc.AutoPipeline()
		if err != nil {
			return fmt.Errorf("pipeline: %w", err)
		}
		client = asynq.NewClientFromRedisClient(pipelined)
	}
	return serve(ctx, s.listen, newService(func(ctx context.Context, id uuid.UUID, body []byte) error {
		payload, err := json.Marshal(message{id, body})
		if err != nil {
			return fmt.Errorf("encode a task: %w", err)
		}
		_, err = client.EnqueueContext(ctx, asynq.NewTask(taskType, payload), asynq.Queue(queueName))
		return err
	}))
}

// runWorker stores each task with an INSERT of its own.
func (s *settings) runWorker(ctx context.Context) error {
	rc, err := s.connectRedis()
	if err != nil {
		return err
	}
	defer func() { _ = rc.Close() }()
	db, err := s.connectDatabase(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	store := asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		var m message
		if err := json.Unmarshal(task.Payload(), &m); err != nil {
			return fmt.Errorf("decode a task: %w", err)
		}
		_, err := db.Exec(ctx, "INSERT INTO messages (id, data) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", m.ID, string(m.Data))
		return err
	})
	for range s.servers {
		server := asynq.NewServerFromRedisClient(rc, asynq.Config{
			Concurrency: s.concurrency, Queues: map[string]int{queueName: 1},
			TaskCheckInterval: s.check, LogLevel: asynq.WarnLevel,
		})
		if err := server.Start(store); err != nil {
			return fmt.Errorf("start asynq: %w", err)
		}
		defer server.Shutdown()
	}
	<-ctx.Done()
	return nil
}

// connectDatabase returns a pool with a connection for every task in hand, and
// makes the one table.
func (s *settings) connectDatabase(ctx context.Context) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(s.database)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	config.MaxConns = int32(s.servers * s.concurrency)
	db, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	_, err = db.Exec(ctx, `CREATE TABLE IF NOT EXISTS messages (
		id uuid PRIMARY KEY, data json NOT NULL, stored_at timestamptz NOT NULL DEFAULT now())`)
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("make the table: %w", err)
	}
	return db, nil
}
