package classify

import (
	"github.com/trenza-router/trenza/router/dpi"
	"github.com/trenza-router/trenza/router/flow"
)

// PortProtocol guesses what is spoken at a server's port: by the registry of IANA, and by the documents of those who use a port without
// asking there. ok is false for a port of no one.
func PortProtocol(proto flow.Proto, port uint16) (p dpi.Protocol, ok bool) {
	switch proto {
	case flow.ProtoTCP:
		p = tcpPort(port)
	case flow.ProtoUDP:
		p = udpPort(port)
	case flow.ProtoSCTP:
		if port == 3868 {
			p = dpi.Diameter
		}
	}
	return p, p != dpi.Unknown
}

// tcpPort is the protocol of a TCP port.
func tcpPort(port uint16) dpi.Protocol {
	switch port {
	case 7:
		return dpi.Echo
	case 9:
		return dpi.Discard
	case 19:
		return dpi.Chargen
	case 20:
		return dpi.FTPData
	case 21:
		return dpi.FTP
	case 22:
		return dpi.SSH
	case 23:
		return dpi.Telnet
	case 25, 465, 587:
		return dpi.SMTP
	case 37:
		return dpi.Time
	case 43:
		return dpi.Whois
	case 53:
		return dpi.DNS
	case 79:
		return dpi.Finger
	case 80, 8000, 8008, 8080, 8888:
		return dpi.HTTP
	case 88:
		return dpi.Kerberos
	case 102:
		return dpi.S7
	case 110, 995:
		return dpi.POP3
	case 111:
		return dpi.RPC
	case 119, 563:
		return dpi.NNTP
	case 135:
		return dpi.DCERPC
	case 139:
		return dpi.NetBIOSSession
	case 143, 993:
		return dpi.IMAP
	case 161:
		return dpi.SNMP
	case 179:
		return dpi.BGP
	case 389, 636, 3268:
		return dpi.LDAP
	case 443, 8443:
		return dpi.TLS
	case 445:
		return dpi.SMB
	case 502:
		return dpi.Modbus
	case 514, 6514:
		return dpi.Syslog
	case 548:
		return dpi.AFP
	case 554, 8554:
		return dpi.RTSP
	case 631:
		return dpi.IPP
	case 853:
		return dpi.DoT
	case 873:
		return dpi.Rsync
	case 1080:
		return dpi.SOCKS
	case 1194:
		return dpi.OpenVPN
	case 1433:
		return dpi.MSSQL
	case 1494, 2598:
		return dpi.Citrix
	case 1521:
		return dpi.Oracle
	case 1720:
		return dpi.H323
	case 1723:
		return dpi.PPTP
	case 1883, 8883:
		return dpi.MQTT
	case 1935:
		return dpi.RTMP
	case 2049:
		return dpi.NFS
	case 2181:
		return dpi.ZooKeeper
	case 3306:
		return dpi.MySQL
	case 3389:
		return dpi.RDP
	case 3690:
		return dpi.SVN
	case 3868:
		return dpi.Diameter
	case 4222:
		return dpi.NATS
	case 4662:
		return dpi.EDonkey
	case 4840:
		return dpi.OPCUA
	case 5060, 5061:
		return dpi.SIP
	case 5222, 5223, 5269:
		return dpi.XMPP
	case 5432:
		return dpi.PostgreSQL
	case 5671, 5672:
		return dpi.AMQP
	case 5900, 5901:
		return dpi.VNC
	case 5938:
		return dpi.TeamViewer
	case 6000, 6001:
		return dpi.X11
	case 6346:
		return dpi.Gnutella
	case 6379:
		return dpi.Redis
	case 6667, 6697:
		return dpi.IRC
	case 6668:
		return dpi.Tuya
	case 6881:
		return dpi.BitTorrent
	case 7070:
		return dpi.AnyDesk
	case 8009:
		return dpi.Chromecast
	case 8333:
		return dpi.Bitcoin
	case 9001:
		return dpi.Tor
	case 9042:
		return dpi.Cassandra
	case 9092:
		return dpi.Kafka
	case 9200:
		return dpi.Elasticsearch
	case 9418:
		return dpi.Git
	case 9999:
		return dpi.TPLinkHome
	case 11211:
		return dpi.Memcached
	case 20000:
		return dpi.DNP3
	case 21116:
		return dpi.RustDesk
	case 22000:
		return dpi.Syncthing
	case 25565:
		return dpi.Minecraft
	case 27017:
		return dpi.MongoDB
	case 27036:
		return dpi.Steam
	case 30303:
		return dpi.Ethereum
	case 44818:
		return dpi.EtherNetIP
	case 64738:
		return dpi.Mumble
	}
	return dpi.Unknown
}

// udpPort is the protocol of a UDP port.
func udpPort(port uint16) dpi.Protocol {
	switch port {
	case 7:
		return dpi.Echo
	case 9:
		return dpi.Discard
	case 19:
		return dpi.Chargen
	case 37:
		return dpi.Time
	case 53:
		return dpi.DNS
	case 67, 68:
		return dpi.DHCP
	case 69:
		return dpi.TFTP
	case 88:
		return dpi.Kerberos
	case 111:
		return dpi.RPC
	case 123:
		return dpi.NTP
	case 137, 138:
		return dpi.NetBIOS
	case 161, 162:
		return dpi.SNMP
	case 319, 320:
		return dpi.PTP
	case 389:
		return dpi.LDAP
	case 443:
		return dpi.QUIC
	case 500, 4500:
		return dpi.IKE
	case 514:
		return dpi.Syslog
	case 520, 521:
		return dpi.RIP
	case 546, 547:
		return dpi.DHCPv6
	case 784, 853:
		return dpi.DoQ
	case 1194:
		return dpi.OpenVPN
	case 1434:
		return dpi.MSSQL
	case 1645, 1646, 1812, 1813:
		return dpi.RADIUS
	case 1701:
		return dpi.L2TP
	case 1719:
		return dpi.H323
	case 1900:
		return dpi.SSDP
	case 1985:
		return dpi.HSRP
	case 2049:
		return dpi.NFS
	case 2055, 4739, 6343, 9995:
		return dpi.NetFlow
	case 2123, 2152:
		return dpi.GTP
	case 2427, 2727:
		return dpi.MGCP
	case 3074:
		return dpi.XboxLive
	case 3389:
		return dpi.RDP
	case 3478, 3479, 5349, 19302:
		return dpi.STUN
	case 3544:
		return dpi.Teredo
	case 3702:
		return dpi.WSDiscovery
	case 3784, 3785, 4784:
		return dpi.BFD
	case 4672:
		return dpi.EDonkey
	case 4789:
		return dpi.VXLAN
	case 5004:
		return dpi.RTP
	case 5005:
		return dpi.RTCP
	case 5060:
		return dpi.SIP
	case 5351:
		return dpi.NATPMP
	case 5353:
		return dpi.MDNS
	case 5355:
		return dpi.LLMNR
	case 5683, 5684:
		return dpi.CoAP
	case 5938:
		return dpi.TeamViewer
	case 6666, 6667:
		return dpi.Tuya
	case 6881:
		return dpi.BitTorrent
	case 8801:
		return dpi.ZoomMedia
	case 9987:
		return dpi.TeamSpeak
	case 9993:
		return dpi.ZeroTier
	case 9999:
		return dpi.TPLinkHome
	case 11211:
		return dpi.Memcached
	case 19132, 19133:
		return dpi.RakNet
	case 20000:
		return dpi.DNP3
	case 21027, 22000:
		return dpi.Syncthing
	case 21116:
		return dpi.RustDesk
	case 26000, 27960:
		return dpi.Quake
	case 27015:
		return dpi.SourceEngine
	case 27036:
		return dpi.Steam
	case 30303:
		return dpi.Ethereum
	case 41641:
		return dpi.Tailscale
	case 44818:
		return dpi.EtherNetIP
	case 47808:
		return dpi.BACnet
	case 50001:
		return dpi.AnyDesk
	case 51820:
		return dpi.WireGuard
	case 57621:
		return dpi.Spotify
	case 64738:
		return dpi.Mumble
	}
	return dpi.Unknown
}

// ipProtocol is what a flow without ports speaks: the number in the IP header says it.
func ipProtocol(proto flow.Proto) dpi.Protocol {
	switch proto {
	case flow.ProtoICMP:
		return dpi.ICMP
	case 2:
		return dpi.IGMP
	case 47:
		return dpi.GRE
	case 50:
		return dpi.ESP
	case 51:
		return dpi.AH
	case flow.ProtoICMPv6:
		return dpi.ICMPv6
	case 89:
		return dpi.OSPF
	case 103:
		return dpi.PIM
	case 112:
		return dpi.VRRP
	case 115:
		return dpi.L2TP
	case flow.ProtoSCTP:
		return dpi.SCTP
	}
	return dpi.Unknown
}
