package classify

import "strings"

// publicResolvers lists the hosts that answer DNS over HTTPS and nothing else, from their operators' own pages, sorted. The catalogue's
// domains of the same operators cover their web pages as well. A name stands for those below it, too: several give each customer one.
func publicResolvers() []string {
	return []string{
		"adfree.usableprivacy.net", "adult-filter-dns.cleanbrowsing.org", "cloudflare-dns.com", "dns-family.adguard.com",
		"dns-unfiltered.adguard.com", "dns.aa.net.uk", "dns.adguard-dns.com", "dns.adguard.com", "dns.alidns.com", "dns.cfiec.net",
		"dns.controld.com", "dns.digitale-gesellschaft.ch", "dns.dnshome.de", "dns.google", "dns.google.com", "dns.mullvad.net",
		"dns.nextdns.io", "dns.njal.la", "dns.quad9.net", "dns.sb", "dns.switch.ch", "dns.twnic.tw", "dns.umbrella.com", "dns0.eu",
		"dns10.quad9.net", "dns11.quad9.net", "dns9.quad9.net", "dnsforge.de", "doh-fi.blahdns.com", "doh.360.cn", "doh.applied-privacy.net",
		"doh.centraleu.pi-dns.com", "doh.cleanbrowsing.org", "doh.cox.net", "doh.crypto.sx", "doh.dns.apple.com", "doh.dnslify.com",
		"doh.familyshield.opendns.com", "doh.ffmuc.net", "doh.libredns.gr", "doh.mullvad.net", "doh.opendns.com", "doh.pub", "doh.quickline.ch",
		"doh.sandbox.opendns.com", "doh.tiar.app", "doh.umbrella.com", "doh.xfinity.com", "family.adguard-dns.com", "freedns.controld.com",
		"max.rethinkdns.com", "odvr.nic.cz", "ordns.he.net", "public.dns.iij.jp", "resolver-eu.lelux.fi",
		"sky.rethinkdns.com", "unfiltered.adguard-dns.com",
	}
}

// hostSet is a set of host names with all names below them.
type hostSet map[string]struct{}

func newHostSet(names []string) hostSet {
	s := make(hostSet, len(names))
	for _, n := range names {
		s[n] = struct{}{}
	}
	return s
}

func (s hostSet) covers(host string) bool {
	for ok := true; ok; {
		if _, in := s[host]; in {
			return true
		}
		_, host, ok = strings.Cut(host, ".")
	}
	return false
}
