package dpi

import "github.com/trenza-router/trenza/router/flow"

// mediaParsers read calls, games and sharing between peers.
func mediaParsers() []Parser {
	const tcp, udp = flow.ProtoTCP, flow.ProtoUDP
	return []Parser{
		// Exact structure.
		{STUN, udp, 0, readSTUN},
		{STUN, tcp, stunBudget, readSTUNStream},
		{DTLS, udp, 0, readDTLS},
		{SIP, udp, 0, readSIP},
		{SIP, tcp, lineBudget, readSIPStream},
		{RTSP, udp, 0, readRTSP},
		{RTSP, tcp, lineBudget, readRTSPStream},
		{MGCP, udp, 0, readMGCP},
		{H323, udp, 0, readRAS},
		{H323, tcp, h225Budget, readH225},
		{BitTorrent, tcp, torrentBudget, readBitTorrent},
		{BitTorrent, udp, 0, readDHT},
		{BitTorrent, udp, 0, readTracker},
		{BitTorrent, udp, 0, readLocalPeers},
		{Gnutella, tcp, gnutellaBudget, readGnutella},
		{Gnutella, udp, 0, readGnutellaDatagram},
		{Syncthing, udp, 0, readSyncthing},
		{Syncthing, tcp, 4, readSyncthingRelay},
		{RakNet, udp, 0, readRakNet},
		{SourceEngine, udp, 0, readSource},
		{Quake, udp, 0, readQuake},
		{Steam, udp, 0, readSteam},
		{Steam, tcp, steamBudget, readSteamStream},
		{Minecraft, tcp, minecraftBudget, readMinecraft},
		{TeamSpeak, udp, 0, readTeamSpeak},
		{NintendoOnline, udp, 0, readPia},
		{PlayStationNetwork, udp, 0, readPlayStation},
		{DiscordVoice, udp, 0, readDiscord},
		{SRT, udp, 0, readSRT},
		{MPEGTS, udp, 0, readMPEGTS},
		// Patterns of a few bytes, and what several datagrams agree on.
		{RTMP, tcp, rtmpBudget, readRTMP},
		{EDonkey, tcp, edonkeyBudget, readEDonkey},
		{EDonkey, udp, 0, readEDonkeyDatagram},
		{TelegramCall, udp, 0, readTelegramCall},
		{LineCall, udp, 0, readLineCall},
		{ViberMedia, udp, 0, readViber},
		{ZoomMedia, udp, 0, readZoom},
		{XboxLive, udp, 0, readXbox},
		{EpicGames, udp, 0, readUnreal},
		{Mumble, udp, 0, readMumble},
		{BitTorrent, udp, 0, readUTP},
		{RTP, udp, 0, readRTP},
		{RTP, tcp, rtpBudget, readRTPStream},
	}
}

// opening reads a stream that both sides may open alike: the client's bytes decide alone; a server's that were seen
// before any of the client's make it likely.
func opening(v *View, r *Result, read func(b []byte, r *Result) Verdict) Verdict {
	if len(v.Client) > 0 {
		return read(v.Client, r)
	}
	if len(v.Server) == 0 {
		return Need
	}
	verdict := read(v.Server, r)
	if verdict == Found {
		return Likely
	}
	return Need
}

// datagrams is how many datagrams of the flow were seen, the newest included.
func (v *View) datagrams() int { return len(v.Heads) + 1 }

// datagram returns the start (at most 24 bytes) and size of datagram i, oldest first.
func (v *View) datagram(i int) (dir Direction, head []byte, size int) {
	if i < len(v.Heads) {
		h := &v.Heads[i]
		return h.Dir, h.Bytes(), int(h.Size)
	}
	return v.Dir, v.Payload[:min(len(v.Payload), headBytes)], len(v.Payload)
}

// hasPort tells whether either end uses one of the ports. It supports a pattern, and never decides alone.
func (v *View) hasPort(from, to uint16) bool {
	return v.ServerPort >= from && v.ServerPort <= to || v.ClientPort >= from && v.ClientPort <= to
}
