package etcd

import (
	"context"
	"log/slog"

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
