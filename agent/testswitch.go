//go:build !lanseal_lab

package main

import "github.com/lanseal/lanseal/rules"

// lockSwitch leaves out one of the locks. Only the lab's build can: this one
// always applies both.
type lockSwitch struct{}

func testSwitch() lockSwitch { return lockSwitch{} }

func (lockSwitch) apply(p rules.Plan) rules.Plan { return p }
