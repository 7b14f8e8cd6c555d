//go:build !linux

package main

import (
	"errors"
	"time"
)

var errLinux = errors.New("this is measured on Linux only")

func processorTime() (time.Duration, error) { return 0, errLinux }
func threadTime() (time.Duration, error)    { return 0, errLinux }

type memory struct{ Anon, File int64 }

func memoryOf(int) (memory, error) { return memory{}, errLinux }
