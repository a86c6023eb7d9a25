// Package bench measures lanseal in the lab, and what people use in its place
// beside it, on the same wires and in the same run: ratios hold where absolute
// times move with the machine.
//
// Each [measurement] is one question of "make bench" and stands in a file of
// its own. It runs the built binary from outside, as the scenarios do, and
// returns rows: a name, samples, and what they are compared with. The report is
// a table for people (Markdown), one for programs (TSV) and a plot (PNG).
//
// Nothing is asserted about the numbers. What is wrong is told as an error: a
// measurement in which traffic never came back, or something leaked that could
// not be explained, has no result.
package bench
