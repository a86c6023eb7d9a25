// Every word of the page. To translate it, translate this file; {name} is
// filled in.
export const T = {
  app: 'lanseal',
  skip: 'Skip to content',
  nav: { label: 'Pages', overview: 'Overview', devices: 'Devices', tunnels: 'Tunnels', leaktest: 'Leak test', history: 'History', settings: 'Settings' },

  state: {
    protected: 'Protected', degraded: 'Degraded', connecting: 'Connecting', sealed: 'Blocked', open: 'Open', gone: 'No answer', '': 'Looking…',
  },
  sentence: {
    protected: 'Every device reaches the internet through its tunnel, and no other way.',
    degraded: 'A tunnel is down. Its devices use the next one, or are blocked.',
    connecting: 'No tunnel is up yet. Until one is, nothing gets out.',
    sealed: 'No tunnel is up. Nothing leaves your network.',
    open: 'lanseal is off. Devices use the internet with your real address.',
    openFallback: 'No tunnel is up and the kill switch is off. Devices use your real address.',
    gone: 'The agent does not answer. What it sealed stays sealed: nothing gets out except through a tunnel.',
    goneOpen: 'The agent does not answer. When it last did, devices could use the internet with your real address.',
    '': 'Asking the router.',
  },
  exitState: { up: 'Up', connecting: 'Connecting', down: 'Down', disabled: 'Off' },

  overview: {
    title: 'Overview', since: 'Since {time}, {ago}', exit: 'Exit', server: 'Server', connected: 'Connected for', seen: 'The world sees', seenNot: 'not known: {why}', seenSoon: 'asking…', running: 'lanseal has run for', latency: 'Latency', handshake: 'Last handshake', resolvers: 'Resolver',
    ipv6: 'IPv6', carried: 'carried', refused: 'refused', none: 'none', traffic: 'Traffic', down: 'Down', up: 'Up', live: 'the last two minutes',
    today: 'Today', todayNone: 'Nothing is known of today yet.', dropouts: '{n} dropouts today, {time} altogether', dropout1: '1 dropout today, {time}', noDropouts: 'No dropouts today',
    blocked: 'Blocked leaks', blockedText: 'packets that had no way through a tunnel were refused', locks: 'Locks', routing: 'Routing lock', firewall: 'Firewall lock',
    holds: 'holds', absent: 'absent', repairs: 'Changes by others, put back',
    on: 'Switch protection on', onDone: 'Protection is on.', killswitchOff: 'The kill switch is off: without a working tunnel, devices use your real address.',
    configBad: 'The configuration file has mistakes, and the last valid one stays in force:', planBad: 'The rules could not be applied: ',
    first: 'Add your provider’s file to begin.', firstGo: 'Add a tunnel', show: 'Show devices',
  },

  devices: {
    title: 'Devices', nameless: 'Device {tail}', search: 'Search by name, address or maker', empty: 'Nobody was seen on your network yet.', noMatch: 'No device matches.',
    goes: 'Way of {name}', defaultVia: 'Default ({via})', block: 'Blocked', direct: 'Direct, with your real address', order: '{via}, in this order',
    online: 'online', offline: 'not seen now', blockNow: 'Block', unblock: 'Unblock', rename: 'Rename', name: 'Name', save: 'Save', cancel: 'Cancel',
    saved: '{name}: saved.', blockedDone: '{name} is blocked.', unblockedDone: '{name} goes the default way again.', now: 'now: {exit}',
    directAsk: 'Let {name} use your real address?', directText: 'Its traffic leaves outside every tunnel, and your provider sees it. Whoever claims its address can do the same.', directYes: 'Yes, go direct',
    blockedCount: '{n} blocked', counted: 'Traffic of the last 24 hours', notCounted: 'With iptables, traffic is not counted by device.', seen: 'seen {when}', more: 'Show {n} more', count: '{n} devices',
  },

  tunnels: {
    title: 'Tunnels', add: 'Add a tunnel', drop: 'Drop your provider’s WireGuard file here', choose: 'Choose a file', paste: 'Paste text', qr: 'Picture of a QR code',
    pasteLabel: 'Text of the file', name: 'Name', nameHint: 'up to 12 small letters and digits; empty: from the file', import: 'Add', importing: 'Adding {name}…',
    added: 'Tunnel {name} was added.', ignored: 'The file says more than lanseal uses:', reading: 'Reading the picture…', noQR: 'No QR code was found in this picture. Hold the camera straight over it, with the whole code in view.',
    notText: 'This is no text file.', empty: 'There is no tunnel yet.', enabled: '{name}: enabled', up: 'Move {name} up', down: 'Move {name} down', test: 'Test', testing: 'Testing…',
    answered: '{name} answers in {ms} ms.', silent: '{name} does not answer: {why}.', remove: 'Delete', removeAsk: 'Delete tunnel {name}?',
    removeText: 'The provider’s file is deleted from the router. A device that has no other exit is blocked.', removeYes: 'Delete', removed: 'Tunnel {name} was deleted.',
    handshake: 'Handshake', latency: 'Latency', availability24h: 'Up, 24 hours', availability30d: 'Up, 30 days', server: 'Server', never: 'never', order: 'Tunnels are used in this order; the first that is up carries your devices.',
    unused: 'Not in the default order', use: 'Use by default', moved: 'The order is changed.', toggled: '{name} is switched {to}.', on: 'on', off: 'off', carried: 'Traffic',
  },

  leaktest: {
    title: 'Leak test', text: 'The router plugs a device of its own into your network, lets it try to get out in every way in which devices leak, and watches the wire to your provider.',
    start: 'Start the test', again: 'Test again', running: 'Testing…', none: 'Nothing leaked', leak: 'Something leaked', impossible: 'The test could not be run', never: 'No test was run yet.',
    way: 'Way out', sent: 'Tried', leaked: 'Seen outside', verify: 'Compare the kernel with the plan', verifying: 'Comparing…', verified: 'The kernel holds the plan; no way past it was found.',
    differs: '{n} differences were found:', at: 'Tested {time}', tool: 'Rules',
  },

  history: {
    title: 'History', search: 'Search', kind: 'Kind', all: 'Everything', kinds: { state: 'State', healed: 'Repairs', uplink: 'Uplink', error: 'Errors', user: 'By people' },
    empty: 'Nothing has happened yet.', noMatch: 'Nothing matches.', more: 'Show older', dropouts: 'Dropouts', dropout: '{from} – {to}, {time}', going: 'still going on', noDropouts: 'No dropouts are known.', events: 'Events',
  },

  settings: {
    title: 'Settings', save: 'Save', saved: 'Saved, and in force.', unchanged: 'Nothing was changed.', groupProtect: 'Protection', groupNet: 'Networks', groupDNS: 'Names (DNS)', groupMore: 'More',
    enabled: 'Protection on', enabledOff: 'Switch protection off?', enabledOffText: 'Every device will use the internet with your real address.', enabledOffYes: 'Switch off',
    killswitch: 'Kill switch', killswitchHint: 'A device reaches the internet through a tunnel, or not at all.', killswitchOff: 'Switch the kill switch off?',
    killswitchOffText: 'When no tunnel works, and whenever the router starts, devices will use your real address.', killswitchOffYes: 'Switch off',
    ipv6: 'IPv6', ipv6Opt: { auto: 'Through the tunnel, or refused', block: 'Always refused' },
    router_traffic: 'The router’s own traffic', router_trafficOpt: { tunnel: 'Through the tunnel', wan: 'Direct' },
    dns: 'Who answers', dnsOpt: { tunnel: 'The tunnel’s resolver', custom: 'My own, through the tunnel', off: 'Leave DNS alone' },
    resolver: 'My resolvers', block_dot: 'Refuse encrypted DNS on port 853', block_doh: 'Refuse well-known DNS-over-HTTPS servers',
    bootstrap: 'Resolvers for the names of VPN servers', bootstrapHint: 'asked outside the tunnel, by lanseal alone',
    lan_device: 'Devices of the protected network', wan_device: 'Devices of the uplink', lan_network: 'Protected OpenWrt networks', wan_network: 'OpenWrt uplinks',
    firewall: 'Firewall', firewallOpt: { auto: 'Automatic', nft: 'nft', iptables: 'iptables' }, log_level: 'Log', log_levelOpt: { debug: 'Debug', info: 'Info', warn: 'Warnings', error: 'Errors' },
    webui_listen: 'Address of this page', webui_listenHint: 'empty: the LAN’s addresses, port 8053', listHint: 'one in each line',
    exceptions: 'Exceptions', exceptionsText: 'Traffic that may leave outside the tunnel, on purpose.', exceptionsNone: 'There is none.', addException: 'Add an exception',
    label: 'Name', dest: 'To', destHint: 'a network like 192.168.100.0/24', proto: 'Protocol', protoOpt: { any: 'Any', tcp: 'TCP', udp: 'UDP', icmp: 'ICMP' }, port: 'Ports', portHint: 'like 443 or 5000-5999', device: 'Devices', deviceHint: 'names; none: every device', until: 'Until', untilHint: 'like 2026-11-23T20:00Z; empty: for good',
    remove: 'Remove', removeAsk: 'Remove exception {name}?', removeText: 'Its traffic uses the tunnel again, or is refused.', added: 'Exception {name} was added.', removed: 'Exception {name} was removed.',
    signOut: 'Sign out', about: 'lanseal {version}',
  },

  login: { title: 'Sign in', password: 'Password', go: 'Sign in', busy: 'Signing in…', first: 'No password is set yet', firstText: 'Until there is one, this page shows nothing. {how}, then:', firstGo: 'I have set one', show: 'The same password as for the router.' },
  error: { title: 'That did not work: {why}', stale: 'Somebody else changed the configuration in the meantime. It has been read again: please repeat your change.', offline: 'The router does not answer.' },
  cancel: 'Cancel', loading: 'Looking…', ago: '{time} ago', now: 'now',
  units: { s: 's', min: 'min', h: 'h', d: 'd', ms: 'ms' },
};

// say fills in what is in braces.
export function say(text, values = {}) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}
