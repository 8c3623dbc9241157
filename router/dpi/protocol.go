package dpi

// Protocol is what a flow speaks. The zero value is "unknown". Its name (String) is what people, rules and files use; it never
// changes. The number is ours alone and may change between versions.
type Protocol uint8

// Protocols by family. What is spoken inside TLS or QUIC has a protocol of its own only where the outside shows it.
const (
	Unknown Protocol = iota

	// The web.
	TLS
	QUIC
	HTTP  // HTTP/1.x
	HTTP2 // with prior knowledge, in the clear
	WebSocket

	// Names.
	DNS
	DoT // DNS over TLS, RFC 7858
	DoH // DNS over HTTPS, RFC 8484: told by the server's name or address alone
	DoQ // DNS over QUIC, RFC 9250
	MDNS
	LLMNR
	NetBIOS // name and datagram service, RFC 1002
	WSDiscovery
	SSDP

	// Voice, video and calls.
	STUN // TURN included
	DTLS
	RTP
	RTCP
	WebRTC // STUN, DTLS and RTP of one flow
	SIP
	RTSP
	RTMP
	H323
	MGCP
	SRT
	MPEGTS // television over IP
	WhatsAppCall
	TelegramCall
	ZoomMedia
	TeamsMedia
	DiscordVoice
	WeChatCall
	FaceTimeMedia
	ViberMedia
	LineCall
	SkypeMedia

	// Games.
	Steam
	SourceEngine // A2S queries and games on it
	RakNet
	Minecraft
	XboxLive // Teredo included
	PlayStationNetwork
	NintendoOnline
	Riot
	EpicGames
	Roblox
	Quake
	TeamSpeak
	Mumble

	// Sharing of files between peers.
	BitTorrent // TCP, uTP, DHT, trackers
	EDonkey
	Gnutella
	Syncthing

	// Tunnels.
	WireGuard
	OpenVPN
	IKE
	ESP
	AH
	L2TP
	PPTP
	GRE
	SOCKS
	Tor
	Shadowsocks // no pattern by design: told by the catalogue alone, as Tor is
	ZeroTier
	Tailscale
	VXLAN
	Teredo
	GTP
	SoftEther
	CiscoAnyConnect

	// Somebody else's screen or shell.
	SSH
	Telnet
	RDP
	VNC
	AnyDesk
	TeamViewer
	RustDesk
	X11
	Citrix

	// Mail and messages.
	SMTP
	IMAP
	POP3
	XMPP
	IRC
	NNTP
	MTProto // Telegram
	WhatsApp
	Line
	Viber
	WeChat

	// Files.
	FTP
	FTPData
	TFTP
	SMB
	NetBIOSSession
	NFS
	RPC // ONC RPC and its port mapper
	AFP
	Rsync
	Git
	SVN

	// Databases and services.
	MySQL
	PostgreSQL
	Redis
	MongoDB
	Memcached
	Cassandra
	MSSQL
	Oracle
	Elasticsearch
	Kafka
	AMQP
	NATS
	LDAP
	Kerberos
	RADIUS
	DCERPC
	ZooKeeper

	// The house and its things.
	MQTT
	CoAP
	Modbus
	S7
	BACnet
	DNP3
	EtherNetIP
	OPCUA
	IEC104
	KNX
	RTPS // DDS
	Tuya
	TPLinkHome
	Sonos
	Spotify // its discovery and its own protocol
	Chromecast
	AirPlay
	IPP

	// The network itself.
	DHCP
	DHCPv6
	NTP
	PTP
	SNMP
	Syslog
	NetFlow // IPFIX included
	SFlow
	NATPMP // PCP included
	BGP
	LDP
	OSPF
	EIGRP
	VRRP
	HSRP
	RIP
	BFD
	IGMP
	PIM
	ICMP
	ICMPv6
	SCTP
	Diameter
	Whois
	Finger
	Time
	Echo
	Discard
	Chargen
	Bitcoin
	Ethereum
	Stratum

	// Behind web servers, between programs, in offices and plants.
	AJP
	FastCGI
	ProxyProtocol
	OpenFlow
	GIOP
	JavaRMI
	Thrift
	Gearman
	SOMEIP
	Zabbix
	CheckMK
	Munin
	Collectd
	IPMI
	Roughtime
	Ookla
	DropboxLAN
	TiVo
	BJNP
	TACACS
	XDMCP
	CAPWAP
	PFCP
	LISP
	Ubiquiti
	Radmin
	NoMachine
	Tinc
	DICOM
	HL7
	FIX
	SMPP
	DRDA
	Ceph
	OSCAR
	OICQ
	Monero
	HARTIP
	FINS
	ADS
	Synchrophasor
	MMS

	protocolCount
)

// protocolNames are the words for people and files, by number.
var protocolNames = [protocolCount]string{
	Unknown:            "unknown",
	TLS:                "tls",
	QUIC:               "quic",
	HTTP:               "http",
	HTTP2:              "http2",
	WebSocket:          "websocket",
	DNS:                "dns",
	DoT:                "dot",
	DoH:                "doh",
	DoQ:                "doq",
	MDNS:               "mdns",
	LLMNR:              "llmnr",
	NetBIOS:            "netbios",
	WSDiscovery:        "ws-discovery",
	SSDP:               "ssdp",
	STUN:               "stun",
	DTLS:               "dtls",
	RTP:                "rtp",
	RTCP:               "rtcp",
	WebRTC:             "webrtc",
	SIP:                "sip",
	RTSP:               "rtsp",
	RTMP:               "rtmp",
	H323:               "h323",
	MGCP:               "mgcp",
	SRT:                "srt",
	MPEGTS:             "mpeg-ts",
	WhatsAppCall:       "whatsapp-call",
	TelegramCall:       "telegram-call",
	ZoomMedia:          "zoom-media",
	TeamsMedia:         "teams-media",
	DiscordVoice:       "discord-voice",
	WeChatCall:         "wechat-call",
	FaceTimeMedia:      "facetime-media",
	ViberMedia:         "viber-media",
	LineCall:           "line-call",
	SkypeMedia:         "skype-media",
	Steam:              "steam",
	SourceEngine:       "source-engine",
	RakNet:             "raknet",
	Minecraft:          "minecraft",
	XboxLive:           "xbox-live",
	PlayStationNetwork: "playstation-network",
	NintendoOnline:     "nintendo-online",
	Riot:               "riot",
	EpicGames:          "epic-games",
	Roblox:             "roblox",
	Quake:              "quake",
	TeamSpeak:          "teamspeak",
	Mumble:             "mumble",
	BitTorrent:         "bittorrent",
	EDonkey:            "edonkey",
	Gnutella:           "gnutella",
	Syncthing:          "syncthing",
	WireGuard:          "wireguard",
	OpenVPN:            "openvpn",
	IKE:                "ike",
	ESP:                "esp",
	AH:                 "ah",
	L2TP:               "l2tp",
	PPTP:               "pptp",
	GRE:                "gre",
	SOCKS:              "socks",
	Tor:                "tor",
	Shadowsocks:        "shadowsocks",
	ZeroTier:           "zerotier",
	Tailscale:          "tailscale",
	VXLAN:              "vxlan",
	Teredo:             "teredo",
	GTP:                "gtp",
	SoftEther:          "softether",
	CiscoAnyConnect:    "cisco-anyconnect",
	SSH:                "ssh",
	Telnet:             "telnet",
	RDP:                "rdp",
	VNC:                "vnc",
	AnyDesk:            "anydesk",
	TeamViewer:         "teamviewer",
	RustDesk:           "rustdesk",
	X11:                "x11",
	Citrix:             "citrix",
	SMTP:               "smtp",
	IMAP:               "imap",
	POP3:               "pop3",
	XMPP:               "xmpp",
	IRC:                "irc",
	NNTP:               "nntp",
	MTProto:            "mtproto",
	WhatsApp:           "whatsapp",
	Line:               "line",
	Viber:              "viber",
	WeChat:             "wechat",
	FTP:                "ftp",
	FTPData:            "ftp-data",
	TFTP:               "tftp",
	SMB:                "smb",
	NetBIOSSession:     "netbios-session",
	NFS:                "nfs",
	RPC:                "rpc",
	AFP:                "afp",
	Rsync:              "rsync",
	Git:                "git",
	SVN:                "svn",
	MySQL:              "mysql",
	PostgreSQL:         "postgresql",
	Redis:              "redis",
	MongoDB:            "mongodb",
	Memcached:          "memcached",
	Cassandra:          "cassandra",
	MSSQL:              "mssql",
	Oracle:             "oracle",
	Elasticsearch:      "elasticsearch",
	Kafka:              "kafka",
	AMQP:               "amqp",
	NATS:               "nats",
	LDAP:               "ldap",
	Kerberos:           "kerberos",
	RADIUS:             "radius",
	DCERPC:             "dcerpc",
	ZooKeeper:          "zookeeper",
	MQTT:               "mqtt",
	CoAP:               "coap",
	Modbus:             "modbus",
	S7:                 "s7",
	BACnet:             "bacnet",
	DNP3:               "dnp3",
	EtherNetIP:         "ethernet-ip",
	OPCUA:              "opc-ua",
	IEC104:             "iec-104",
	KNX:                "knx",
	RTPS:               "rtps",
	Tuya:               "tuya",
	TPLinkHome:         "tplink-home",
	Sonos:              "sonos",
	Spotify:            "spotify",
	Chromecast:         "chromecast",
	AirPlay:            "airplay",
	IPP:                "ipp",
	DHCP:               "dhcp",
	DHCPv6:             "dhcpv6",
	NTP:                "ntp",
	PTP:                "ptp",
	SNMP:               "snmp",
	Syslog:             "syslog",
	NetFlow:            "netflow",
	SFlow:              "sflow",
	NATPMP:             "nat-pmp",
	BGP:                "bgp",
	LDP:                "ldp",
	OSPF:               "ospf",
	EIGRP:              "eigrp",
	VRRP:               "vrrp",
	HSRP:               "hsrp",
	RIP:                "rip",
	BFD:                "bfd",
	IGMP:               "igmp",
	PIM:                "pim",
	ICMP:               "icmp",
	ICMPv6:             "icmpv6",
	SCTP:               "sctp",
	Diameter:           "diameter",
	Whois:              "whois",
	Finger:             "finger",
	Time:               "time",
	Echo:               "echo",
	Discard:            "discard",
	Chargen:            "chargen",
	Bitcoin:            "bitcoin",
	Ethereum:           "ethereum",
	Stratum:            "stratum",
	AJP:                "ajp",
	FastCGI:            "fastcgi",
	ProxyProtocol:      "proxy-protocol",
	OpenFlow:           "openflow",
	GIOP:               "giop",
	JavaRMI:            "java-rmi",
	Thrift:             "thrift",
	Gearman:            "gearman",
	SOMEIP:             "some-ip",
	Zabbix:             "zabbix",
	CheckMK:            "check-mk",
	Munin:              "munin",
	Collectd:           "collectd",
	IPMI:               "ipmi",
	Roughtime:          "roughtime",
	Ookla:              "ookla",
	DropboxLAN:         "dropbox-lan",
	TiVo:               "tivo",
	BJNP:               "bjnp",
	TACACS:             "tacacs",
	XDMCP:              "xdmcp",
	CAPWAP:             "capwap",
	PFCP:               "pfcp",
	LISP:               "lisp",
	Ubiquiti:           "ubiquiti",
	Radmin:             "radmin",
	NoMachine:          "nomachine",
	Tinc:               "tinc",
	DICOM:              "dicom",
	HL7:                "hl7",
	FIX:                "fix",
	SMPP:               "smpp",
	DRDA:               "drda",
	Ceph:               "ceph",
	OSCAR:              "oscar",
	OICQ:               "oicq",
	Monero:             "monero",
	HARTIP:             "hart-ip",
	FINS:               "fins",
	ADS:                "ads",
	Synchrophasor:      "synchrophasor",
	MMS:                "mms",
}

func (p Protocol) String() string {
	if p < protocolCount {
		return protocolNames[p]
	}
	return protocolNames[Unknown]
}

// ParseProtocol finds a protocol by its name.
func ParseProtocol(name string) (Protocol, bool) {
	for p, n := range protocolNames {
		if n == name && Protocol(p) != Unknown {
			return Protocol(p), true
		}
	}
	return Unknown, false
}
