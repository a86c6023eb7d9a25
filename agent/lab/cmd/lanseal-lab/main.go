// Command lanseal-lab shows lanseal at work in a small internet of network
// namespaces, measures it there, or builds that lab for a person to look around in.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/lanseal/lanseal/agent/lab"
	"github.com/lanseal/lanseal/agent/lab/bench"
	"github.com/lanseal/lanseal/agent/lab/demo"
	"github.com/lanseal/lanseal/agent/lab/torture"
)

const help = `usage: lanseal-lab COMMAND [flags]

  demo    shows lanseal, breaks it in every way, counts what leaks (--help)
  bench   measures lanseal, and what is used in its place (--help)
  torture lays random faults for thousands of steps (--help)
  up      builds the lab alone and says how to enter it (--help)
  clean   ends kept labs, removes what crashed ones left
`

func main() {
	lab.Main()
	command, args := "up", os.Args[1:]
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	switch command {
	case "demo":
		os.Exit(demo.Main(args))
	case "bench":
		os.Exit(bench.Main(args))
	case "torture":
		os.Exit(torture.Main(args))
	case "clean":
		os.Exit(demo.Clean())
	case "up":
		if err := up(args); err != nil {
			fmt.Fprintln(os.Stderr, "lanseal-lab: "+err.Error())
			os.Exit(1)
		}
	case "help":
		fmt.Print(help)
	default:
		fmt.Fprint(os.Stderr, help)
		os.Exit(2)
	}
}

// up builds a lab by hand: it comes up, says how to enter its hosts, and goes
// away on ctrl-c.
func up(args []string) error {
	var o lab.Options
	fs := flag.NewFlagSet("lanseal-lab up", flag.ExitOnError)
	fs.StringVar(&o.Lanseal, "lanseal", "", "the binary under test (default bin/lanseal)")
	fs.BoolVar(&o.Dnsmasq, "dnsmasq", false, "run a dnsmasq on the router")
	fs.BoolVar(&o.Guest, "guest", false, "a second LAN")
	fs.BoolVar(&o.WAN2, "wan2", false, "a second uplink")
	_ = fs.Parse(args) // exits on an error
	l, err := lab.New(o)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.Ready(context.Background()); err != nil {
		return err
	}
	for _, h := range l.Hosts() {
		fmt.Printf("ip netns exec %s …\n", h.NS)
	}
	for _, v := range []*lab.VPN{l.VPN1, l.VPN2} {
		path := l.Dir + "/" + v.Name + ".conf"
		if err := os.WriteFile(path, []byte(v.ClientFile(lab.ClientOptions{})), 0o600); err != nil {
			return err
		}
		fmt.Println("tunnel file " + path)
	}
	fmt.Println("up; ctrl-c removes everything")
	select {} // lab.New's signal handler closes the lab
}
