// Package linux is the machine as Linux shows it: it implements hal.Machine with netlink, nft, sockets and /proc.
//
// It is the only code of the router that touches the kernel. It decides nothing: it carries out what package apply asks for,
// tells what is there, and hands up what the kernel announces.
//
//	firewall*      rulesets through `nft -f -`; names, counters and the fingerprint of the table over nfnetlink
//	elements*      elements of sets and maps: transactions of our own over a socket that stays open
//	routing*       rules and routes, by rtnetlink messages of our own
//	sysctl         /proc/sys
//	capabilities*  what this kernel can do, found by trying in a namespace of its own; programs that would get in the way
//	watch*         devices, neighbours and their changes
//	conntrack*     the connection table
//	packetlog*     copies of packets (NFLOG)
//	sockets*       sockets and pings over one link
//	kernel*        netlink sockets and the form of their messages, for all of these but the routes
//	dhcp*          IPv4 addresses from a link's network
//
// A Machine belongs to the network namespace of its process. All methods are safe for concurrent use; the parts lock what
// they keep. The one lock that is held while the kernel works is that of the element editor (elements_edit.go): a transaction of
// 20,000 elements holds it for some 100 ms.
package linux
