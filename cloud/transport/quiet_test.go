package transport

import (
	"io"
	"log"
)

// quiet keeps what servers say of our bad manners out of the tests' output.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
