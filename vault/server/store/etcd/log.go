package etcd

import (
	"context"
	"log/slog"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapLogger hands the warnings and errors of etcd's code to log. What is below is for
// etcd's developers.
func zapLogger(log *slog.Logger) *zap.Logger {
	return zap.New(core{log: log})
}

// core is a zapcore.Core on slog. The messages of etcd go as they are, as the value of one
// key: ours stay constant.
type core struct {
	log    *slog.Logger
	fields []zapcore.Field
}

func (core) Enabled(level zapcore.Level) bool { return level >= zapcore.WarnLevel }

func (c core) With(fields []zapcore.Field) zapcore.Core {
	return core{log: c.log, fields: append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

func (c core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.Enabled(entry.Level) {
		return checked
	}
	return checked.AddCore(entry, c)
}

func (c core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	all := zapcore.NewMapObjectEncoder()
	for _, f := range c.fields {
		f.AddTo(all)
	}
	for _, f := range fields {
		f.AddTo(all)
	}
	level := slog.LevelWarn
	if entry.Level >= zapcore.ErrorLevel {
		level = slog.LevelError
	}
	c.log.LogAttrs(context.Background(), level, "etcd says", slog.String("message", entry.Message), slog.Any("details", all.Fields))
	return nil
}

func (core) Sync() error { return nil }

// untilEnd is a slog.Handler that hears nothing once a member was told to stop: etcd then
// calls the closing of its own connections errors.
type untilEnd struct {
	slog.Handler
	ending *atomic.Bool
}

func (u untilEnd) Enabled(ctx context.Context, level slog.Level) bool {
	return !u.ending.Load() && u.Handler.Enabled(ctx, level)
}

func (u untilEnd) WithAttrs(attrs []slog.Attr) slog.Handler {
	return untilEnd{u.Handler.WithAttrs(attrs), u.ending}
}

func (u untilEnd) WithGroup(name string) slog.Handler {
	return untilEnd{u.Handler.WithGroup(name), u.ending}
}
