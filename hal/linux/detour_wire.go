package linux

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/trenza-router/trenza/hal"
)

// The form of the detour's messages (rtnetlink(7), linux/pkt_cls.h, linux/tc_act/tc_mirred.h).
const (
	ifbKind = "ifb"

	clsactParent = 0xfffffff1 // TC_H_CLSACT
	clsactHandle = 0xffff0000
	ingressHook  = 0xfffffff2 // TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
	egressHook   = 0xfffffff3 // TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)

	u32Selector, u32Actions  = 5, 7 // TCA_U32_SEL, TCA_U32_ACT
	actionKind, actionOption = 1, 2 // TCA_ACT_KIND, TCA_ACT_OPTIONS
	mirredParms              = 2    // TCA_MIRRED_PARMS: struct tc_mirred
	mirredSize               = 28
	mirredRedirect           = 1 // TCA_EGRESS_REDIR
	actionStolen             = 4 // TC_ACT_STOLEN
)

// interfaceHeader is a struct ifinfomsg.
func interfaceHeader(index int32, flags, change uint32) []byte {
	b := make([]byte, 4, 96)
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	b = binary.NativeEndian.AppendUint32(b, flags)
	return binary.NativeEndian.AppendUint32(b, change)
}

func linkRequest(name string) []byte {
	return appendText(interfaceHeader(0, 0, 0), unix.IFLA_IFNAME, name)
}

func linkIndexRequest(index int32) []byte { return interfaceHeader(index, 0, 0) }

// detourDeviceMessage makes the device, or (index not 0) sets up the one that there is.
func detourDeviceMessage(name string, index int32) []byte {
	b := interfaceHeader(index, unix.IFF_UP, unix.IFF_UP)
	b = appendUint32(b, unix.IFLA_TXQLEN, hal.DetourQueue)
	if index != 0 {
		return b
	}
	b = appendText(b, unix.IFLA_IFNAME, name)
	b, at := beginNested(b, unix.IFLA_LINKINFO)
	return endNested(appendText(b, unix.IFLA_INFO_KIND, ifbKind), at)
}

func readLink(m message) linkState {
	if m.kind != unix.RTM_NEWLINK || len(m.payload) < unix.SizeofIfInfomsg {
		return linkState{}
	}
	f := fields(m.payload[unix.SizeofIfInfomsg:])
	return linkState{
		index: int32(binary.NativeEndian.Uint32(m.payload[4:])),
		up:    binary.NativeEndian.Uint32(m.payload[8:])&unix.IFF_UP != 0,
		kind:  fields(f.get(unix.IFLA_LINKINFO)).text(unix.IFLA_INFO_KIND),
	}
}

func clsactMessage(index int32) []byte {
	return appendKind(queueRequest(index, clsactHandle, clsactParent), "clsact")
}

// addQdisc notes which devices have clsact.
func (d *detourSocket) addQdisc(m message) {
	if m.kind != unix.RTM_NEWQDISC || len(m.payload) < tcHeader {
		return
	}
	if fields(m.payload[tcHeader:]).text(tcaKind) == "clsact" {
		d.qdiscs[int32(binary.NativeEndian.Uint32(m.payload[4:]))] = true
	}
}

// filterRequest names our filter: preference above, protocol (all) below.
func filterRequest(index int32) []byte {
	b := queueRequest(index, 0, egressHook)
	protocol := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
	binary.NativeEndian.PutUint32(b[16:], hal.DetourPreference<<16|uint32(protocol))
	return b
}

// filterMessage is a u32 filter that matches everything, with one action: mirred redirect.
func filterMessage(index, target int32) []byte {
	b := appendKind(filterRequest(index), "u32")
	b, options := beginNested(b, tcaOptions)
	// struct tc_u32_sel with one struct tc_u32_key, all zero: no bit of the first word is looked at.
	selector := make([]byte, 16+16)
	selector[0], selector[2] = 1, 1 // TC_U32_TERMINAL; one key
	b = appendAttribute(b, u32Selector, selector)
	b, actions := beginNested(b, u32Actions)
	b, first := beginNested(b, 1)
	b = appendText(b, actionKind, "mirred")
	b, option := beginNested(b, actionOption)
	parms := make([]byte, 0, mirredSize)
	for _, v := range []uint32{0, 0, actionStolen, 0, 0, mirredRedirect, uint32(target)} {
		parms = binary.NativeEndian.AppendUint32(parms, v)
	}
	b = endNested(appendAttribute(b, mirredParms, parms), option)
	return endNested(endNested(endNested(b, first), actions), options)
}

// readFilter tells where a filter of ours leads; target 0: to a device that is gone. False: the message is about something else.
func readFilter(m message, index int32) (target int32, ok bool) {
	_, parent, f, ok := tcMessage(m, index)
	if !ok || m.kind != unix.RTM_NEWTFILTER || parent != egressHook || f.text(tcaKind) != "u32" ||
		binary.NativeEndian.Uint32(m.payload[16:])>>16 != hal.DetourPreference {
		return 0, false
	}
	action := fields(fields(fields(f.get(tcaOptions)).get(u32Actions)).get(1))
	parms := fields(action.get(actionOption)).get(mirredParms)
	if action.text(actionKind) != "mirred" || len(parms) < mirredSize || host32(parms[20:]) != mirredRedirect {
		return 0, false
	}
	return int32(host32(parms[24:])), true
}
