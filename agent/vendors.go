package main

import (
	"strconv"
	"strings"
)

// vendors are the makers of some things that are often on a LAN, by the first
// three bytes of the hardware address (the IEEE's OUI). The whole list has
// 38,000 entries and 4 MB, more than a router has room for: this one is to
// tell a television from a telephone at a glance, and nothing depends on it.
const vendors = `
Amazon 0c47c9 18742e 34d270 40b4cd 44650d 50dce7 68371e 6837e9 74c246 84d6d0 a002dc ac63be f0272d fc65de
Apple 000393 0017f2 001ec2 04489a 28cfda 3c0754 403004 5c969d 7cd1c3 a4b197 acbc32 d49a20 f0dbf8 f81edf
Asus 049226 107b44 2c56dc 38d547 50465d ac220b
AVM 3431c4 3810d5 c80e14 e0286d
Espressif 18fe34 240ac4 24b2de 30aea4 3c71bf 5ccf7f 60019f 84f3eb a4cf12 bcddc2 ecfabc
Google 001a11 3c5ab4 546009 94eb2c f4f5d8 f4f5e8
HP 00110a 3c5282 9457a5 b4b52f
Intel 001b21 3c970e 7c7a91 a0a8cd
LG 001c62 10f96f 3cbdd8 a816b2 cc2d8c
Microsoft 0050f2 00155d 28183b 7c1e52
Netgear 000fb5 204e7f 9c3dcf a040a0
Nintendo 0009bf 001656 0017ab 34af2c 582f40 98b6e9
Philips 001788 ecb5fa
Raspberry_Pi 28cdc1 b827eb d83add dca632 e45f01
Roku 000d4b b0a737 b83e59 cc6da0 d83134
Samsung 0000f0 001632 002339 5c497d 8425db 8c7712 a00798 f47b5e fcf136
Sonos 000e58 347e5c 5caafd 78282c 949f3e b8e937
Sony 0013a9 001a80 280dfc 70264f 709e29 fc0fe6
Synology 001132
TP-Link 14cc20 50c7bf 60e327 98dac4 c46e1f ec086b
Ubiquiti 002722 0418d6 24a43c 44d9e7 687251 788a20 802aa8 f09fc2
Xiaomi 286c07 34ce00 64b473 7811dc 8cbebe f8a45f
`

// vendor names the maker, or says that the address was made up for privacy:
// telephones do that, and show another one on every network.
func vendor(mac string) string {
	oui := strings.ReplaceAll(mac, ":", "")
	if len(oui) < 6 {
		return ""
	}
	oui = oui[:6]
	for line := range strings.Lines(strings.TrimSpace(vendors)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.Contains(" "+strings.Join(fields[1:], " ")+" ", " "+oui+" ") {
			return strings.ReplaceAll(fields[0], "_", " ")
		}
	}
	if first, err := strconv.ParseUint(oui[:2], 16, 8); err == nil && first&2 != 0 {
		return "private address"
	}
	return ""
}
