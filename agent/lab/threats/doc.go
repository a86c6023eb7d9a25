// Package threats is the proof of the product: every line of the leak
// catalogue as a scenario, a fault that is laid on a running lanseal in the
// lab while clients go on sending, and what must be true of it.
//
// A [Scenario] is data. The tests run all of them, on every firewall and with
// each lock alone; the demonstration shows them to people, in their own words.
// [Run] starts the product in a fresh lab, lets traffic flow, lays the fault,
// goes on sending, takes the fault back, and waits for the service to return.
// From before the fault to the end nothing may leak: neither on the wires nor
// in what the servers saw.
//
// Silence proves nothing, so every scenario has a mutation, which takes the
// protection away: the same scenario must then see a leak, or its own check
// must fail.
package threats
