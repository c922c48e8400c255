// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// notPublic has the ranges that are not on the public network, beside those that
// [netip.Addr] knows, see
// https://www.iana.org/assignments/iana-ipv4-special-registry and
// https://www.iana.org/assignments/iana-ipv6-special-registry
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // shared by a carrier's customers
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), // benchmarks
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("100::/64"),    // discarded
	netip.MustParsePrefix("2001:2::/48"), // benchmarks
	netip.MustParsePrefix("5f00::/16"),   // segment routing
	netip.MustParsePrefix("fec0::/10"),   // site-local, deprecated by RFC 3879
}

// embedding has the ranges of IPv6 whose addresses contain an IPv4 address, to which
// they lead.
var embedding = []struct {
	prefix netip.Prefix
	at     int    // the byte at which the IPv4 address begins
	mask   uint32 // the bits of it that are inverted
}{
	{netip.MustParsePrefix("::/96"), 12, 0},              // compatible, RFC 4291
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12, 0},    // translated, RFC 2765
	{netip.MustParsePrefix("64:ff9b::/96"), 12, 0},       // NAT64, RFC 6052
	{netip.MustParsePrefix("2002::/16"), 2, 0},           // 6to4, RFC 3056
	{netip.MustParsePrefix("2001::/32"), 12, ^uint32(0)}, // Teredo, RFC 4380
}

// localNAT64 is the range for a network's own NAT64, RFC 8215. The network decides
// where the IPv4 address begins, so nobody can tell which addresses are public.
var localNAT64 = netip.MustParsePrefix("64:ff9b:1::/48")

// leadsTo returns the address itself and the IPv4 address that it contains, if any,
// without zones.
func leadsTo(a netip.Addr) []netip.Addr {
	a = a.WithZone("").Unmap()
	all := []netip.Addr{a}
	if !a.Is6() {
		return all
	}
	b := a.As16()
	for _, e := range embedding {
		if e.prefix.Contains(a) {
			var four [4]byte
			binary.BigEndian.PutUint32(four[:], binary.BigEndian.Uint32(b[e.at:])^e.mask)
			all = append(all, netip.AddrFrom4(four))
		}
	}
	// ISATAP, RFC 5214: 0000:5efe or 0200:5efe behind any prefix of 64 bits.
	if b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
		all = append(all, netip.AddrFrom4([4]byte(b[12:])))
	}
	return all
}

// isPrivate reports whether an address leads to anything that is not on the public
// network.
func isPrivate(a netip.Addr) bool {
	if localNAT64.Contains(a.WithZone("")) {
		return true
	}
	for _, a := range leadsTo(a) {
		if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
			return true
		}
		for _, p := range notPublic {
			if p.Contains(a) {
				return true
			}
		}
	}
	return false
}

// isLinkLocal reports whether an address is link-local, or that of a cloud's metadata
// service, which has the secrets of a machine.
func isLinkLocal(a netip.Addr) bool {
	for _, a := range leadsTo(a) {
		if a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a == awsMetadata {
			return true
		}
	}
	return false
}

// awsMetadata is the one metadata service that has no link-local address.
var awsMetadata = netip.MustParseAddr("fd00:ec2::254")

// parseHost reads the host of a URL. a is its address, or invalid for a name. odd says
// that inet_aton(3), and so a proxy or a resolver, may take it for an address that Go
// does not know: "127.1", "0x7f000001".
func parseHost(host string) (a netip.Addr, odd bool) {
	host = strings.TrimSuffix(host, ".")
	a, err := netip.ParseAddr(host)
	if err == nil {
		return a, false
	}
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return a, strings.Trim(hex, "0123456789abcdef") == ""
	}
	return a, last != "" && strings.Trim(last, "0123456789") == ""
}

// PrivateName reports whether the host of a URL is, by its text alone, not on the
// public network: a private address, an odd one, or localhost.
func PrivateName(host string) bool {
	a, odd := parseHost(host)
	if a.IsValid() || odd {
		return odd || isPrivate(a)
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// IsLoopback reports whether the host of a URL is, by its text alone, this machine: an
// address of 127.0.0.0/8, ::1, or localhost (RFC 6761, section 6.3).
func IsLoopback(host string) bool {
	if a, _ := parseHost(host); a.IsValid() {
		return a.Unmap().IsLoopback()
	}
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}
