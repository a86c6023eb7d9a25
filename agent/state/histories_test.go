package state_test

// histories are what may happen, second by second.
var histories = []struct{ name, lines string }{
	{"the first start: connecting until the first handshake", `
0 config                                       → connecting se:connecting no:connecting | replan
0.1 report se                                  → connecting se:connecting no:connecting |
0.2 report no                                  → connecting se:connecting no:connecting |
0.5 report se handshake=0 rx=92 tx=148         → protected se:up no:connecting | replan
0.6 report no handshake=0 rx=92 tx=148         → protected se:up no:up | replan
1 tick                                         → protected se:up no:up | probe se, probe no
1.5 report se handshake=0 rx=200 tx=300        → protected se:up no:up |
`},
	{"a restart adopts what runs: protected at once", `
300 config found                               → protected se:up no:connecting | replan
300 report no handshake=260 rx=50 tx=50        → protected se:up no:up | replan
`},
	{"the second exit is up first and carries everybody until the first comes", `
0 config                                       → connecting se:connecting no:connecting | replan
1 report no handshake=1 rx=92 tx=148           → degraded se:connecting no:up | replan
2 report se handshake=2 rx=92 tx=148           → protected se:up no:up | replan
`},
	{"nobody answers: connecting becomes sealed, and is tried for ever", `
0 config one                                   → connecting se:connecting | replan
1 report se tx=148                             → connecting se:connecting |
4 tick                                         → connecting se:connecting | ensure se, kick se
6 tick                                         → connecting se:connecting | ensure se, kick se
14 tick                                        → connecting se:connecting | ensure se, kick se
16 tick                                        → sealed se:down | replan
22 tick                                        → sealed se:down | ensure se, next se
600 tick                                       → sealed se:down | ensure se, next se
601 report se handshake=601 rx=92 tx=500       → protected se:up | replan
`},
	{"the device vanishes and there is another exit: it takes over at once", `
0 config                                       → connecting se:connecting no:connecting | replan
1 report se handshake=1 rx=92                  → protected se:up no:connecting | replan
1 report no handshake=1 rx=92                  → protected se:up no:up | replan
10 vanished se                                 → degraded se:connecting no:up | ensure se, replan
10.2 report se                                 → degraded se:connecting no:up |
10.4 report se handshake=10 rx=92              → protected se:up no:up | replan
`},
	{"the device vanishes and there is no other: flows wait for it", `
0 config one                                   → connecting se:connecting | replan
1 report se handshake=1 rx=92                  → protected se:up | replan
9.9 report se handshake=1 rx=9000              → protected se:up |
10 vanished se                                 → protected se:up | ensure se
10.2 report se                                 → protected se:up |
10.4 report se handshake=10 rx=92              → protected se:up |
`},
	{"the device vanishes and does not come back", `
0 config one                                   → connecting se:connecting | replan
1 report se handshake=1 rx=92                  → protected se:up | replan
10 vanished se                                 → protected se:up | ensure se
12 tick                                        → protected se:up | probe se
13.1 tick                                      → connecting se:connecting | probe se, replan
20 report se gone error=no-such-module         → sealed se:down | replan
30 report se handshake=30 rx=92                → protected se:up | replan
`},
	{"silence: probes, then the next exit, then back", `
0 config                                       → connecting se:connecting no:connecting | replan
1 report se handshake=1 rx=92 tx=148           → protected se:up no:connecting | replan
1 report no handshake=1 rx=92 tx=148           → protected se:up no:up | replan
5 answer se 20ms                               → protected se:up no:up |
10 report se handshake=1 rx=92 tx=200          → protected se:up no:up |
10.5 tick                                      → protected se:up no:up | probe no
11 tick                                        → protected se:up no:up | probe se, probe no
11.4 silence se                                → protected se:up no:up | probe se
11.8 silence se                                → protected se:up no:up | probe se
12.2 silence se                                → degraded se:down no:up | replan
17 tick                                        → degraded se:down no:up | ensure se, next se, probe se
17.4 silence se                                → degraded se:down no:up |
20 answer se 20ms                              → protected se:up no:up | replan
`},
	{"nobody ever answered probes: a new handshake is the last proof", `
0 config one                                   → connecting se:connecting | replan
1 report se handshake=1 rx=92 tx=148           → protected se:up | replan
10 report se handshake=1 rx=92 tx=200          → protected se:up |
11 tick                                        → protected se:up | probe se
11.8 silence se                                → protected se:up | probe se
12.6 silence se                                → protected se:up | probe se
13.4 silence se                                → protected se:up | probe se, renew se
13.5 report se                                 → protected se:up |
13.6 report se handshake=13 rx=92 tx=148       → protected se:up |
14 tick                                        → protected se:up | probe se
`},
	{"silence that was none: an answer in time", `
0 config one                                   → connecting se:connecting | replan
1 report se handshake=1 rx=92 tx=148           → protected se:up | replan
10 report se handshake=1 rx=92 tx=200          → protected se:up |
11 tick                                        → protected se:up | probe se
11.4 silence se                                → protected se:up | probe se
11.8 silence se                                → protected se:up | probe se
11.9 answer se 20ms                            → protected se:up |
20 tick                                        → protected se:up |
`},
	{"sending and hearing is no silence", `
0 config one                                   → connecting se:connecting | replan
1 report se handshake=1 rx=92 tx=148           → protected se:up | replan
10 report se handshake=1 rx=92 tx=200          → protected se:up |
10.5 report se handshake=1 rx=93 tx=210        → protected se:up |
20 tick                                        → protected se:up |
`},
	{"a session without a new handshake is over", `
0 config one                                   → connecting se:connecting | replan
1 report se handshake=1 rx=92                  → protected se:up | replan
180 tick                                       → protected se:up |
182 tick                                       → sealed se:down | replan
183 report se handshake=183 rx=92              → protected se:up | replan
`},
	{"a configuration is refused at the start: sealed", `
0 refused                                      → sealed | replan
1 tick                                         → sealed |
5 config                                       → connecting se:connecting no:connecting | replan
6 report se handshake=6 rx=92                  → protected se:up no:connecting | replan
`},
	{"a configuration is refused later: the last valid one stays", `
0 config                                       → connecting se:connecting no:connecting | replan
1 report se handshake=1 rx=92                  → protected se:up no:connecting | replan
1 report no handshake=1 rx=92                  → protected se:up no:up | replan
9 refused                                      → protected se:up no:up |
10 config one                                  → protected se:up | replan
`},
	{"disabled: open, and no exit is touched", `
0 config                                       → connecting se:connecting no:connecting | replan
1 report se handshake=1 rx=92                  → protected se:up no:connecting | replan
2 config disabled                              → open se:disabled no:disabled | replan
3 tick                                         → open se:disabled no:disabled |
4 report se handshake=1 rx=92                  → open se:disabled no:disabled |
5 config                                       → connecting se:connecting no:connecting | replan
`},
	{"the kill switch is off: open while no exit is up", `
0 config killswitch-off                        → open se:connecting no:connecting | replan
1 report se handshake=1 rx=92                  → protected se:up no:connecting | replan
2 vanished se                                  → protected se:up no:connecting | ensure se
6 tick                                         → open se:connecting no:connecting | probe se, ensure no, kick no, replan
`},
	{"via direct: one device's exit alone counts", `
0 config direct tv-no                          → connecting se:connecting no:connecting | replan
1 report no handshake=1 rx=92                  → protected se:connecting no:up | replan
2 report no gone error=nowg                    → protected se:connecting no:up |
6 tick                                         → connecting se:connecting no:down | ensure se, kick se, probe no, replan
`},
	{"via direct and no device with a rule: open", `
0 config direct                                → open se:connecting no:connecting | replan
`},
	{"via block: only the device with a rule counts", `
0 config block tv-no                           → connecting se:connecting no:connecting | replan
1 report no handshake=1 rx=92                  → protected se:connecting no:up | replan
2 config block                                 → sealed se:connecting no:up | replan
`},
	{"a device's own exit is down: degraded, also while the others go on", `
0 config tv-no                                 → connecting se:connecting no:connecting | replan
1 report se handshake=1 rx=92                  → degraded se:up no:connecting | replan
2 report no handshake=2 rx=92                  → protected se:up no:up | replan
3 report no gone error=nowg                    → degraded se:up no:down | replan
4 report se gone error=nowg                    → degraded se:up no:down |
8 tick                                         → sealed se:down no:down | probe se, ensure no, next no, replan
`},
	{"an exit is switched off: its last state is forgotten", `
0 config                                       → connecting se:connecting no:connecting | replan
1 report se handshake=1 rx=92                  → protected se:up no:connecting | replan
1 report no handshake=1 rx=92                  → protected se:up no:up | replan
2 config no-off                                → protected se:up no:disabled | replan
3 report no handshake=3 rx=99                  → protected se:up no:disabled |
4 config                                       → protected se:up no:connecting | replan
`},
	{"a foreign device is up when it is there", `
0 config one foreign                           → connecting se:connecting | replan
1 report se                                    → protected se:up | replan
2 vanished se                                  → protected se:up | ensure se
6 tick                                         → connecting se:connecting | probe se, replan
8 report se                                    → protected se:up | replan
`},
	{"a foreign device that fell silent is asked until it answers", `
0 config one foreign                           → connecting se:connecting | replan
1 report se rx=1 tx=1                          → protected se:up | replan
2 report se rx=1 tx=2                          → protected se:up |
3 tick                                         → protected se:up | probe se
3.4 silence se                                 → protected se:up | probe se
3.8 silence se                                 → protected se:up | probe se
4.2 silence se                                 → sealed se:down | replan
9 tick                                         → sealed se:down | ensure se, next se, probe se
9.4 silence se                                 → sealed se:down |
15 tick                                        → sealed se:down | ensure se, next se, probe se
15.1 answer se 20ms                            → protected se:up | replan
`},
	{"events of exits that do not exist change nothing", `
0 config one                                   → connecting se:connecting | replan
1 report no handshake=1                        → connecting se:connecting |
1 silence no                                   → connecting se:connecting |
1 vanished no                                  → connecting se:connecting |
`},
}
