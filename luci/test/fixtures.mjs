// SPDX-License-Identifier: Apache-2.0
// What an agent answers, a configuration, and texts by people who mean ill.

export const hostile = '<img src=x onerror=alert(1)>';

export const status = () => ({
	state: 'protected', since: '2026-11-23T10:00:00Z', reason: 'se up, handshake 12s ago',
	killswitch: true, firewall: 'nft', locks: { routing: true, firewall: true },
	exits: [
		{ name: 'se', state: 'up', reason: '', type: 'wireguard', device: 'ls-se', endpoint: '192.0.2.10:51820',
			handshake: '2026-11-23T10:00:48Z', rtt_ms: 18.2, rx_bytes: 5000000, tx_bytes: 700, ipv6: true, resolvers: [ '10.64.0.1' ] },
		{ name: 'no', state: 'down', reason: hostile, type: 'wireguard', device: 'ls-no', endpoint: '',
			handshake: null, rtt_ms: 0, rx_bytes: 0, tx_bytes: 0, ipv6: false, resolvers: [] }
	],
	blocked: { packets: 7, bytes: 4096 }, healed: 3, config: { valid: true }, version: '0.1.0'
});

export const devices = () => ({
	devices: [
		{ mac: '02:00:00:00:01:50', name: 'tv', label: 'Television', hostname: '', ips: [ '192.168.1.50' ], online: true, via: [ 'se' ], exit: 'se' },
		{ mac: '02:00:00:00:01:60', name: '', label: '', hostname: hostile, ips: [], online: true, via: [], exit: 'block' }
	],
	default: [ 'se', 'no' ]
});

export const hints = () => ({
	'02:00:00:00:01:60': { name: 'Laptop-of-Ann', ipaddrs: [ '192.168.1.60' ], ip6addrs: [] },
	'02:00:00:00:02:01': { ipaddrs: [ '203.0.113.1' ] }
});

export const events = () => ({ events: [
	{ time: '2026-11-23T10:00:00Z', kind: 'state', text: 'sealed: no exit is up' },
	{ time: '2026-11-23T10:00:05Z', kind: 'healed', exit: 'se', text: hostile }
], cut: false });

export const answers = () => ({
	'luci.lanseal/status': status(), 'luci.lanseal/devices': devices(), 'luci.lanseal/tunnels': { tunnels: [ { name: 'se', warnings: [ 'mode 0644' ] } ] },
	'luci.lanseal/events': events(),
	'luci.lanseal/leakreport': { state: 'none' }, 'luci-rpc/getHostHints': hints()
});

// failing are the ways in which there is no answer.
export const failing = {
	'no agent': { error: 'no agent is running', state: 'sealed' },
	'no agent, state unknown': { error: 'no agent is running', state: 'unknown' },
	'another version': { error: 'the agent that runs does not know "status"' },
	'denied': new Error('Access denied'),
	'nothing': null,
	'not valid': { ...status(), state: 'sealed', error: 'nft: no', config: { valid: false, errors: [ hostile ] } },
	'kill switch off': { ...status(), killswitch: false },
	'open': { ...status(), state: 'open', exits: [] }
};

export const sections = () => [
	{ '.name': 'main', '.type': 'lanseal', enabled: '1', killswitch: '1', lan_device: [ 'br-lan' ], via: [ 'se', 'no' ] },
	{ '.name': 'se', '.type': 'tunnel', label: hostile, type: 'wireguard', file: '/etc/lanseal/tunnels/se.conf' },
	{ '.name': 'no', '.type': 'tunnel', type: 'wireguard', file: '/etc/lanseal/tunnels/no.conf' },
	{ '.name': 'tv', '.type': 'device', label: 'Television', mac: [ '02:00:00:00:01:50' ], via: [ 'se', 'no' ] },
	{ '.name': 'iptv', '.type': 'exception', device: [ 'tv' ], dest: [ '198.51.100.0/24' ], proto: 'udp', port: [ '5000-5999' ] }
];
