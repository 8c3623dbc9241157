// Package host knows the devices of the LAN: their MACs and addresses, names, vendor, and the number that stands for each in
// the kernel's marks.
//
// What it learns from, strongest first: the policy (SetNamed), DHCP leases (Lease; Run watches lease files of dnsmasq and odhcpd),
// the neighbour table (Run, Announced), and first packets (Observe, called by whoever sees a copy). mDNS can join as another caller of
// Lease and Observe. A device is known by its MAC; one behind another router, which has no MAC here, by the address that the policy gives it.
// Only addresses on LAN interfaces count, and only those inside the interface's networks.
//
// # Numbers
//
// A device keeps its flow.DeviceID over restarts (Keeper). When all 510 are taken, the one longest unseen is forgotten: those that never had a
// lease or a name first, never one that the policy names, and never one seen in the last minutes, since its flows live on.
//
// # Bounds
//
// A stranger may send from any MAC and any address. MACs that show no lease become devices at a limited rate; a
// device keeps at most MaxAddrs addresses and takes new ones at a limited rate; a packet cannot take an address away from the
// device that a lease or the neighbour table names for it.
//
// # Locks
//
// Registry.mu guards everything; values that leave are copies whose slices are never changed again. Callbacks of OnChange run one
// after the other under callbackMu, without mu, on the goroutine that caused the change. The database is written by Run alone.
//
// Place in the flow's way: beside it; plan takes the list of devices, classify and observe ask who a number or an address is.
package host
