// Package internet is the lab's internet: real servers for about thirty real-looking names, in one process.
//
// Run listens in the network namespace of the calling process, so the lab starts it as a child inside the namespace
// to which the topology has assigned all of Addresses. It serves
//
//   - DNS over UDP and TCP, for the names of the table and as the recursive resolver that the WANs hand out
//   - HTTPS with certificates of a lab CA made at start: TLS 1.3, HTTP/1.1, HTTP/2, and HTTP/3 over QUIC
//   - plain HTTP, with the connectivity checks of Android, Apple and Windows
//   - UDP echo, and a game server that counts both ways of a session
//   - a TCP server that greets with the source it saw and echoes
//   - a throughput sink and source with checksums, and iperf3 on request when the binary is there
//
// Every server reports the source address that it saw in its own answer, and writes it to a bounded recorder. The
// recorder is queried over HTTP on a unix socket, which works across network namespaces; Observer is its client. The
// socket appears after all listeners are open and the CA file is written: Observer.WaitReady is the sign to go on.
//
// Locks: the recorder has one mutex; certificates have one; UDP loops own their state alone. Each server is one task that
// ends, with everything it started, when Run's context ends.
package internet
