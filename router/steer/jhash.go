package steer

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/trenza-router/trenza/router/flow"
)

// HashSeed is the seed of every `jhash` of ours: one number, so that a device finds the same slot in every balance
// that is sticky by host. It is part of the contract: another number would move every host and site at an update.
const HashSeed uint32 = 0x7472656e

// SiteMark is the part of a label that tells sites apart: what is left in the packet mark while the hash is taken.
const SiteMark = uint32(flow.SiteMask)

// Jhash is the kernel's jhash() (include/linux/jhash.h: Bob Jenkins, lookup3, hashlittle) over nft registers, as
// `jhash EXPR mod M seed S` computes it. data is the registers' content: HostKey, SiteKey or AddrKey.
//
// Words are read in the machine's byte order, the last 1 to 12 bytes in little-endian order, as the kernel does.
func Jhash(data []byte, seed uint32) uint32 {
	a := 0xdeadbeef + uint32(len(data)) + seed
	b, c := a, a
	for len(data) > 12 {
		a += binary.NativeEndian.Uint32(data)
		b += binary.NativeEndian.Uint32(data[4:])
		c += binary.NativeEndian.Uint32(data[8:])
		a, b, c = mix(a, b, c)
		data = data[12:]
	}
	if len(data) == 0 {
		return c
	}
	var tail [12]byte
	copy(tail[:], data)
	a += binary.LittleEndian.Uint32(tail[:])
	b += binary.LittleEndian.Uint32(tail[4:])
	c += binary.LittleEndian.Uint32(tail[8:])
	return final(a, b, c)
}

func mix(a, b, c uint32) (uint32, uint32, uint32) {
	a = (a - c) ^ bits.RotateLeft32(c, 4)
	c += b
	b = (b - a) ^ bits.RotateLeft32(a, 6)
	a += c
	c = (c - b) ^ bits.RotateLeft32(b, 8)
	b += a
	a = (a - c) ^ bits.RotateLeft32(c, 16)
	c += b
	b = (b - a) ^ bits.RotateLeft32(a, 19)
	a += c
	c = (c - b) ^ bits.RotateLeft32(b, 4)
	b += a
	return a, b, c
}

func final(a, b, c uint32) uint32 {
	c = (c ^ b) - bits.RotateLeft32(b, 14)
	a = (a ^ c) - bits.RotateLeft32(c, 11)
	b = (b ^ a) - bits.RotateLeft32(a, 25)
	c = (c ^ b) - bits.RotateLeft32(b, 16)
	a = (a ^ c) - bits.RotateLeft32(c, 4)
	b = (b ^ a) - bits.RotateLeft32(a, 14)
	return (c ^ b) - bits.RotateLeft32(b, 24)
}

// Scale is the kernel's reciprocal_scale(): a hash to a slot from 0 to mod-1.
func Scale(h, mod uint32) uint32 { return uint32(uint64(h) * uint64(mod) >> 32) }

// HostKey is what `jhash ether saddr` hashes: six bytes, alone in its registers.
func HostKey(mac flow.MAC) []byte { return mac[:] }

// SiteKey is what `jhash ether saddr . meta mark` hashes when the packet mark is label & SiteMark: each field of a
// concatenation fills whole 32-bit registers, and a mark lies there in the machine's byte order.
func SiteKey(mac flow.MAC, label flow.Label) []byte {
	return binary.NativeEndian.AppendUint32(padded(mac), uint32(label)&SiteMark)
}

// AddrKey is what `jhash ether saddr . ip daddr` (or ip6 daddr) hashes: the site of a destination without a name is its address.
func AddrKey(mac flow.MAC, dst netip.Addr) []byte {
	return append(padded(mac), dst.Unmap().AsSlice()...)
}

func padded(mac flow.MAC) []byte {
	b := make([]byte, 8, 24)
	copy(b, mac[:])
	return b
}

// Slot is the slot that the kernel finds for a key in a sticky choice.
func (c Choice) Slot(key []byte) uint32 { return Scale(Jhash(key, HashSeed), c.Modulus()) }
