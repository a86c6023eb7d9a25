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
6 tick                                         → connecting se:connecting | ensure se, other se
14 tick                                        → connecting se:connecting | ensure se, other se
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
10.4 report se handshake=10 rx=92              → degraded se:up no:up | replan
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
12 tick                                        → protected se:up |
13.1 tick                                      → connecting se:connecting | replan
20 report se gone error=no-such-module         → sealed se:down | replan
30 report se handshake=30 rx=92                → protected se:up | replan
`},
	{"silence: probes, the other exit proves itself, it takes over, and a minute after the return the first carries again", `
0 config                                       → connecting se:connecting no:connecting | replan
1 report se handshake=1 rx=92 tx=148           → protected se:up no:connecting | replan
1 report no handshake=1 rx=92 tx=148           → protected se:up no:up | replan
2 tick se=0/0 no=0/0                           → protected se:up no:up | probe se, probe no
2.02 answer se 20ms                            → protected se:up no:up |
2.02 answer no 20ms                            → protected se:up no:up |
9.8 tick se=5000/4000 no=0/0                   → protected se:up no:up | probe no
9.9 tick se=6000/5000 no=0/0                   → protected se:up no:up |
10.0 tick se=6000/6000 no=0/0                  → protected se:up no:up |
10.1 tick se=6000/7000 no=0/0                  → protected se:up no:up |
10.2 tick se=6000/8000 no=0/0                  → protected se:up no:up | probe se
10.3 tick se=6000/9000 no=0/0                  → protected se:up no:up | probe se
10.35 silence se                               → protected se:up no:up |
10.4 tick se=6000/9900 no=0/60                 → protected se:up no:up | probe se, probe no
10.42 answer no 20ms                           → protected se:up no:up |
10.45 silence se                               → protected se:up no:up |
10.5 tick se=6000/9999 no=60/60                → protected se:up no:up | probe se
10.55 silence se                               → degraded se:down no:up | replan
11 tick se=6000/9999 no=900/900                → degraded se:down no:up | renew se
16 tick se=6000/9999 no=2900/2900              → degraded se:down no:up | ensure se, next se, probe se
20 report se handshake=20 rx=92 tx=148         → degraded se:up no:up | replan
21 tick se=6000/9999 no=3900/3900              → degraded se:up no:up | probe se
21.02 answer se 20ms                           → degraded se:up no:up |
79 tick se=6000/9999 no=3900/3900              → degraded se:up no:up | probe se, probe no
80 tick se=6000/9999 no=3900/3900              → protected se:up no:up | replan
`},
	{"fail-back is not waited for when the fallback dies, and the one that carries then keeps its devices", `
0 config found                                 → protected se:up no:connecting | replan
1 report no handshake=0 rx=92 tx=148           → protected se:up no:up | replan
5 report se gone error=no-such-module          → degraded se:down no:up | replan
9 report se handshake=9 rx=92 tx=148           → degraded se:up no:up | replan
30 report no gone error=no-such-module         → protected se:up no:down | replan
40 report no handshake=40 rx=92 tx=148         → protected se:up no:up | replan
69 tick                                        → protected se:up no:up | probe se, probe no, replan
100 tick                                       → protected se:up no:up | replan
`},
	{"nobody ever answered probes: a new handshake is the last proof, and it is asked for less and less often", `
0 config one                                   → connecting se:connecting | replan
1 report se handshake=1 rx=92 tx=148           → protected se:up | replan
20 tick se=0/0                                 → protected se:up | probe se
20.2 silence se                                → protected se:up |
21 tick se=0/500                               → protected se:up |
22 tick se=0/900                               → protected se:up |
23.3 tick se=0/1500                            → protected se:up | renew se
23.4 report se                                 → protected se:up |
23.5 report se handshake=23 rx=92 tx=148       → protected se:up |
24 tick se=0/2500                              → protected se:up |
27.1 tick se=0/3500                            → protected se:up |
30 tick se=0/4500                              → protected se:up | renew se
30.1 report se                                 → protected se:up |
31 tick se=0/4600                              → protected se:up |
32 tick se=0/4700                              → sealed se:up | replan
32.6 tick se=0/4700                            → sealed se:up |
33.1 tick se=0/4700                            → sealed se:up |
37.1 tick se=0/4700                            → sealed se:up | ensure se, next se
37.5 report se handshake=37 rx=92              → protected se:up | replan
`},
	{"silence that was none: an answer in time", `
0 config one                                   → connecting se:connecting | replan
1 report se handshake=1 rx=92 tx=148           → protected se:up | replan
1.1 answer se 20ms                             → protected se:up |
10 tick se=50/50                               → protected se:up | probe se
10.1 tick se=50/500                            → protected se:up |
10.4 tick se=50/900                            → protected se:up | probe se
10.5 tick se=50/900                            → protected se:up | probe se
10.6 silence se                                → protected se:up |
10.7 silence se                                → protected se:up |
10.71 answer se 310ms                          → protected se:up |
10.8 tick se=90/1500                           → protected se:up |
`},
	{"sending and hearing is no silence, and neither is a keepalive", `
0 config one                                   → connecting se:connecting | replan
1 report se handshake=1 rx=92 tx=148           → protected se:up | replan
1.1 answer se 20ms                             → protected se:up |
10 tick se=50/50                               → protected se:up | probe se
10.1 tick se=80/500                            → protected se:up |
10.9 tick se=90/900                            → protected se:up |
11.9 tick se=90/960                            → protected se:up |
14 tick se=90/960                              → protected se:up |
`},
	{"a quiet exit is asked every 5 s, and not if it is heard", `
0 config one                                   → connecting se:connecting | replan
1 report se handshake=1 rx=92 tx=148           → protected se:up | replan
1.1 answer se 20ms                             → protected se:up |
5 tick se=50/50                                → protected se:up | probe se
6.1 tick se=50/50                              → protected se:up |
6.12 answer se 20ms                            → protected se:up |
8 report se handshake=1 rx=124 tx=148          → protected se:up |
12 tick se=50/50                               → protected se:up | probe se
13 tick se=50/50                               → protected se:up |
13.15 silence se                               → protected se:up |
13.2 tick se=50/90                             → protected se:up | probe se
13.35 silence se                               → protected se:up |
13.4 tick se=50/140                            → protected se:up | probe se
13.6 silence se                                → sealed se:up | replan
13.7 tick se=50/140                            → sealed se:up |
16.3 tick se=50/140                            → sealed se:up | renew se, probe se
17 tick se=50/140                              → sealed se:up | renew se, probe se
18.7 tick se=50/140                            → sealed se:up | ensure se, next se, probe se
19.1 report se handshake=19 rx=92              → protected se:up | replan
19.2 report se handshake=19 rx=92              → protected se:up |
`},
	{"what comes late of a session that was given up ends no outage", `
0 config one                                   → connecting se:connecting | replan
1 report se handshake=1 rx=92 tx=148           → protected se:up | replan
1.1 answer se 20ms                             → protected se:up |
3.15 silence se                                → protected se:up |
3.35 silence se                                → protected se:up |
3.6 silence se                                 → sealed se:up | replan
4 tick se=50/140                               → sealed se:up | probe se
4.5 tick se=50/140                             → sealed se:up | probe se
4.6 tick se=50/140                             → sealed se:up | renew se
4.7 tick se=90/140                             → sealed se:up | probe se
5 report se                                    → sealed se:up |
8.2 tick se=130/140                            → sealed se:up | renew se
10.2 tick se=130/140                           → sealed se:up | ensure se, next se
10.3 report se handshake=10 rx=92 tx=148       → protected se:up | replan
`},
	{"what was still under way ends no outage, and makes it ask", `
0 config one                                   → connecting se:connecting | replan
1 report se handshake=1 rx=92 tx=148           → protected se:up | replan
1.1 answer se 20ms                             → protected se:up |
3.1 tick se=50/140                             → protected se:up |
3.15 silence se                                → protected se:up |
3.35 silence se                                → protected se:up |
3.6 silence se                                 → sealed se:up | replan
3.7 tick se=50/140                             → sealed se:up | probe se
3.8 tick se=2090/140                           → sealed se:up | probe se
3.9 tick se=2090/140                           → sealed se:up |
4.1 tick se=4090/140                           → sealed se:up | probe se
4.15 answer se 20ms                            → protected se:up | replan
`},
	{"nobody answers any more: an outage, in which nothing is switched", `
0 config found                                 → protected se:up no:connecting | replan
0 report no handshake=0 rx=92 tx=148           → protected se:up no:up | replan
0.1 answer se 20ms                             → protected se:up no:up |
0.1 answer no 20ms                             → protected se:up no:up |
9.8 tick se=5000/4000 no=0/0                   → protected se:up no:up | probe se, probe no
9.9 tick se=5000/5000 no=0/0                   → protected se:up no:up |
10.2 tick se=5000/6000 no=0/0                  → protected se:up no:up | probe se
10.35 silence se                               → protected se:up no:up |
10.4 tick se=5000/7000 no=0/0                  → protected se:up no:up | probe se, probe no
10.45 silence se                               → protected se:up no:up |
10.5 tick se=5000/8000 no=0/60                 → protected se:up no:up | probe se, probe no
10.55 silence no                               → protected se:up no:up |
10.55 silence se                               → protected se:up no:up |
10.6 tick se=5000/8000 no=0/60                 → protected se:up no:up | probe se, probe no
10.65 silence no                               → protected se:up no:up |
10.75 silence no                               → sealed se:up no:up | replan
11.3 tick se=5000/8000 no=0/60                 → sealed se:up no:up | probe se, probe no
13.8 tick se=5000/8000 no=0/60                 → sealed se:up no:up | renew se, probe se, renew no, probe no
14.4 tick se=5000/8000 no=0/60                 → sealed se:up no:up | renew se, probe se, renew no, probe no
16 tick se=5000/8000 no=0/60                   → sealed se:up no:up | ensure se, next se, probe se, ensure no, next no, probe no
3600 report no handshake=3600 rx=92            → sealed se:up no:up |
3600.4 report se handshake=3600 rx=92          → protected se:up no:up | replan
`},
	{"the uplink is gone and comes back: a pause for everybody", `
0 config found                                 → protected se:up no:connecting | replan
0 report no handshake=0 rx=92 tx=148           → protected se:up no:up | replan
0.1 answer se 20ms                             → protected se:up no:up |
0.1 answer no 20ms                             → protected se:up no:up |
10 uplink down                                 → protected se:up no:up |
10 tick se=50/50 no=0/0                        → protected se:up no:up | probe se, probe no
10.2 silence se                                → protected se:up no:up |
10.2 silence no                                → protected se:up no:up |
10.3 silence se                                → protected se:up no:up |
10.3 silence no                                → protected se:up no:up |
10.4 silence se                                → protected se:up no:up |
10.4 silence no                                → protected se:up no:up |
12 uplink up                                   → protected se:up no:up | ensure se, renew se, ensure no, renew no
12.1 report se handshake=12 rx=92              → protected se:up no:up | replan
12.2 report no handshake=12 rx=92              → protected se:up no:up |
`},
	{"the uplink is gone for an hour: sealed, and then as before", `
0 config found                                 → protected se:up no:connecting | replan
0 report no handshake=0 rx=92 tx=148           → protected se:up no:up | replan
0.1 answer se 20ms                             → protected se:up no:up |
0.1 answer no 20ms                             → protected se:up no:up |
10 uplink down                                 → protected se:up no:up |
10.2 silence se                                → protected se:up no:up |
10.2 silence no                                → protected se:up no:up |
10.3 silence se                                → protected se:up no:up |
10.3 silence no                                → protected se:up no:up |
10.4 silence se                                → protected se:up no:up |
10.4 silence no                                → protected se:up no:up |
11 tick se=50/50 no=0/0                        → protected se:up no:up | probe se, probe no
13.5 tick se=50/50 no=0/0                      → sealed se:up no:up | replan
14 tick se=50/50 no=0/0                        → sealed se:up no:up |
16 tick se=50/50 no=0/0                        → sealed se:up no:up | ensure se, next se, probe se, ensure no, next no, probe no
3610 uplink up                                 → sealed se:up no:up | ensure se, renew se, ensure no, renew no
3610.1 report no handshake=3610 rx=92          → sealed se:up no:up |
3610.2 report se handshake=3610 rx=92          → protected se:up no:up | replan
`},
	{"after an outage one server is gone: its devices wait a moment for it and then take the other", `
0 config found                                 → protected se:up no:connecting | replan
0 report no handshake=0 rx=92 tx=148           → protected se:up no:up | replan
0.1 answer se 20ms                             → protected se:up no:up |
0.1 answer no 20ms                             → protected se:up no:up |
10 uplink down                                 → protected se:up no:up |
10.2 silence se                                → protected se:up no:up |
10.2 silence no                                → protected se:up no:up |
10.3 silence se                                → protected se:up no:up |
10.3 silence no                                → protected se:up no:up |
10.4 silence se                                → protected se:up no:up |
10.4 silence no                                → protected se:up no:up |
14 tick se=50/50 no=0/0                        → sealed se:up no:up | probe se, probe no, replan
50 uplink up                                   → sealed se:up no:up | ensure se, renew se, ensure no, renew no
50.1 report no handshake=50 rx=92              → sealed se:up no:up |
51 tick se=50/50 no=0/0                        → sealed se:up no:up | renew se, probe se, probe no
51.7 tick se=50/50 no=0/0                      → degraded se:down no:up | renew se, probe se, probe no, replan
`},
	{"an endpoint's name is answered with a false address: a captive portal is suspected", `
0 config one                                   → connecting se:connecting | replan
1 report se false=vpn.example:10.0.0.1         → sealed se:connecting |
3 report se false=vpn.example:10.0.0.1         → sealed se:connecting |
9 report se handshake=9 rx=92                  → protected se:up | replan
`},
	{"a session without a new handshake is over", `
0 config one                                   → connecting se:connecting | replan
1 report se handshake=1 rx=92                  → protected se:up | replan
180 tick                                       → protected se:up | probe se
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
6 tick                                         → open se:connecting no:connecting | ensure no, other no, replan
`},
	{"via direct: one device's exit alone counts", `
0 config direct tv-no                          → connecting se:connecting no:connecting | replan
1 report no handshake=1 rx=92                  → protected se:connecting no:up | replan
2 report no gone error=nowg                    → protected se:connecting no:up |
6 tick                                         → connecting se:connecting no:down | ensure se, other se, replan
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
8 tick                                         → sealed se:down no:down | ensure no, next no, replan
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
6 tick                                         → connecting se:connecting | replan
8 report se                                    → protected se:up | replan
`},
	{"a foreign device that fell silent is asked until it answers", `
0 config one foreign                           → connecting se:connecting | replan
1 report se rx=1 tx=1                          → protected se:up | replan
1.1 answer se 20ms                             → protected se:up |
2 tick se=1/1                                  → protected se:up |
2.1 tick se=1/500                              → protected se:up |
2.4 tick se=1/500                              → protected se:up | probe se
2.5 tick se=1/500                              → protected se:up | probe se
2.6 silence se                                 → protected se:up |
2.7 silence se                                 → protected se:up |
2.8 silence se                                 → sealed se:up | replan
9 tick se=1/500                                → sealed se:up | ensure se, next se, probe se
9.1 silence se                                 → sealed se:up |
15.1 answer se 20ms                            → protected se:up | replan
`},
	{"a foreign device that nobody ever answered through is given up late, and given another chance", `
0 config one foreign                           → connecting se:connecting | replan
1 report se rx=1 tx=1                          → protected se:up | replan
2 tick se=1/1                                  → protected se:up | probe se
3 tick se=1/500                                → protected se:up | probe se
4 silence se                                   → protected se:up |
5 silence se                                   → protected se:up |
6 silence se                                   → protected se:up |
7 silence se                                   → protected se:up |
13.1 tick se=1/900                             → sealed se:up | probe se, replan
30 tick se=1/900                               → sealed se:up | ensure se, next se, probe se
74 tick se=1/900                               → protected se:up | probe se, replan
`},
	{"events of exits that do not exist change nothing", `
0 config one                                   → connecting se:connecting | replan
1 report no handshake=1                        → connecting se:connecting |
1 silence no                                   → connecting se:connecting |
1 vanished no                                  → connecting se:connecting |
`},
}
