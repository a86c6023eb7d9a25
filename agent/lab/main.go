package lab

import (
	"encoding/json"
	"fmt"
	"os"
)

// wgCommand is the hidden subcommand that turns any binary importing this
// package into a WireGuard process.
const wgCommand = "lab-wg"

// Main must be the first call of a main or TestMain that uses the lab: when
// the process was started as one of the lab's children, it does that job and
// does not return.
func Main() {
	if len(os.Args) > 1 && os.Args[1] == fatalCommand {
		status, err := runFatal(os.Args[2:])
		if err != nil {
			fmt.Fprintln(os.Stderr, "lab: "+err.Error())
		}
		os.Exit(status)
	}
	if len(os.Args) != 2 || os.Args[1] != wgCommand {
		return
	}
	var c wgConfig
	// Keys come by stdin: a command line is readable by everyone.
	dec := json.NewDecoder(os.Stdin)
	err := dec.Decode(&c)
	if err == nil {
		err = runWG(c, dec)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab: "+err.Error())
		os.Exit(1)
	}
	os.Exit(0)
}
