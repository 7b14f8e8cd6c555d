package main

import (
	"context"
	"errors"
	"flag"
	"io"
)

type soakOptions struct{}

func (s *soakOptions) flags(*flag.FlagSet) {}

func soak(context.Context, options, io.Writer) error { return errors.New("not yet") }
