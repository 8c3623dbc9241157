// Package localca is the router's own certificate authority: made at the first start, kept in the state directory, and trusted by
// the household's devices once a person has installed its certificate there. The server's certificates are made of it at each
// start and never written.
//
// The authority may only vouch for names and addresses inside a house (RFC 5280 section 4.2.1.10): whoever steals its key
// cannot pretend to be anything of the internet to the devices that trust it.
//
// Place: localca -> server. Locks: Authority.mu guards the certificates that were made.
package localca
