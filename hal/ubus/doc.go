// Package ubus speaks with OpenWrt's message bus: it looks objects up, calls their methods and listens to events. The form of messages is that
// of ubusmsg.h and of libubox's blob.h and blobmsg.h: big-endian attributes, each padded to four bytes.
//
//	blob.go     attributes, and the values of which arguments and answers are made
//	message.go  messages and their framing on the socket
//	client.go   a connection: requests by sequence number, events
//
// Locks: Client.mu guards what waits for answers; Client.out orders writers. Nothing is called while either is held.
package ubus
