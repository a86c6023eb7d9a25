package main

import (
	"context"
	"net/netip"
	"sync/atomic"

	"github.com/lanseal/lanseal/agent/tunnel"
)

// endpointNames answers the endpoints' names for the tunnels' tasks, while the
// loop may change who is asked and which answers are not believed.
type endpointNames struct {
	cache    tunnel.Cache
	resolver atomic.Pointer[tunnel.Resolver]
	own      atomic.Pointer[[]netip.Prefix] // the router's own networks
}

func newEndpointNames(cache tunnel.Cache) *endpointNames {
	n := &endpointNames{cache: cache}
	n.ask(nil)
	return n
}

// ask says which bootstrap resolvers are asked from now on.
func (n *endpointNames) ask(servers []netip.Addr) {
	n.resolver.Store(&tunnel.Resolver{
		Servers: tunnel.Bootstrap(servers),
		Cache:   n.cache,
		Refuse: func() []netip.Prefix {
			if own := n.own.Load(); own != nil {
				return *own
			}
			return nil
		},
	})
}

// Cached is what is remembered of a name.
func (n *endpointNames) Cached(host string) []netip.Addr { return n.resolver.Load().Cached(host) }

// Lookup asks the bootstrap resolvers.
func (n *endpointNames) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return n.resolver.Load().Lookup(ctx, host)
}
