package catalog

import "golang.org/x/net/publicsuffix"

// Site returns the registrable domain of a host name in the form of flow.CleanHost: "bbc.co.uk" for
// "news.bbc.co.uk". A name that is itself a public suffix, or has only one label, is its own site.
func Site(host string) string {
	site, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return host
	}
	return site
}

// SiteHash is the FNV-1a hash (32 bit) of the host's site, folded so that the low 15 bits, which are
// those that flow.MakeLabel keeps, depend on all of them. It is 0 only for the empty host.
func SiteHash(host string) uint32 {
	if host == "" {
		return 0
	}
	const offset, prime = 2166136261, 16777619
	h := uint32(offset)
	site := Site(host)
	for i := range len(site) {
		h = (h ^ uint32(site[i])) * prime
	}
	if h ^= h >> 15; h == 0 {
		return 1
	}
	return h
}
