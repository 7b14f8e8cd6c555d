package main

import "github.com/rogpeppe/go-internal/testscript"

func canMount() bool { return false }

// What the stories below need is not on Windows: they say so with [unix] or [mount].
func unavailable(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("not on Windows") }

func cmdTmpfs(ts *testscript.TestScript, neg bool, args []string)    { unavailable(ts, neg, args) }
func cmdAsNobody(ts *testscript.TestScript, neg bool, args []string) { unavailable(ts, neg, args) }
func cmdHoldLock(ts *testscript.TestScript, neg bool, args []string) { unavailable(ts, neg, args) }
