package metered

import "testing"

func TestJudge(t *testing.T) {
	for flags, want := range map[uint32]answer{
		0:                                   {},
		0x80000:                             {}, // near a limit that nobody knows
		costUnrestricted:                    {known: true},
		costUnrestricted | 0x20000:          {known: true}, // crowded
		costUnrestricted | costRoaming:      {metered: true, known: true},
		costFixed:                           {metered: true, known: true},
		costVariable:                        {metered: true, known: true},
		costUnrestricted | costOverLimit:    {metered: true, known: true},
		costFixed | costOverLimit | 0x80000: {metered: true, known: true},
	} {
		if got := judge(flags); got != want {
			t.Errorf("%#x: %+v, want %+v", flags, got, want)
		}
	}
}
