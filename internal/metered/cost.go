package metered

// What Windows says of a connection (NLM_CONNECTION_COST, netlistmgr.h).
const (
	costUnrestricted = 0x1
	costFixed        = 0x2     // so many bytes are paid for
	costVariable     = 0x4     // each byte is
	costOverLimit    = 0x10000 // with any of the above
	costRoaming      = 0x40000
)

type answer struct{ metered, known bool }

// judge turns Windows' flags into an answer. It is here, and not in the file for
// Windows, to be tested everywhere.
func judge(flags uint32) answer {
	switch {
	case flags&(costFixed|costVariable|costOverLimit|costRoaming) != 0:
		return answer{metered: true, known: true}
	case flags&costUnrestricted != 0:
		return answer{known: true}
	}
	return answer{}
}
