package dpi

import (
	"testing"

	"github.com/trenza-router/trenza/router/flow"
)

// officeVectors are what runs behind web servers, between programs, in offices and plants.
func officeVectors() []vector {
	const tcp, udp = flow.ProtoTCP, flow.ProtoUDP
	return []vector{
		{"AJP", tcp, 8009, []said{clientHex("1234 0100 02 02 0008 485454502f312e31 00"), serverHex("4142 0040 04 00c8")}, AJP, "", 95},
		{"AJP ping", tcp, 8009, []said{clientHex("1234 0001 0a")}, AJP, "", 95},
		{"FastCGI", tcp, 9000, []said{clientHex("01 01 0001 0008 00 00 0001 01 0000000000")}, FastCGI, "", 95},
		{"PROXY version 1", tcp, 8443, []said{clientSays("PROXY TCP4 192.0.2.1 198.51.100.7 50000 443\r\n")}, ProxyProtocol, "", 95},
		{"PROXY version 2", tcp, 8443, []said{clientHex("0d0a0d0a000d0a515549540a 21 11 000c")}, ProxyProtocol, "", 95},
		{"OpenFlow", tcp, 16653, []said{clientHex("04 00 0010 00000001 0001 0008 00000010"), serverHex("04 00 0008 00000002")}, OpenFlow, "", 95},
		{"CORBA", tcp, 683, []said{clientHex("47494f50 0102 01 00 24000000"), serverHex("47494f50 0102 01 01")}, GIOP, "", 95},
		{"Java RMI", tcp, 1099, []said{clientHex("4a524d49 0002 4b")}, JavaRMI, "", 95},
		{"Thrift", tcp, 9090, []said{clientHex("80010001 00000004 70696e67 00000000 00")}, Thrift, "", 95},
		{"Thrift, framed", tcp, 9090, []said{clientHex("00000011 80010001 00000004 70696e67 00000000 00")}, Thrift, "", 95},
		{"Gearman", tcp, 4730, []said{clientHex("00524551 00000007 0000000d")}, Gearman, "", 95},
		{"SOME/IP discovery", udp, 30490, []said{clientHex("ffff8100 00000014 00000001 01 01 02 00 c0000000 00000000 00000000")}, SOMEIP, "", 80},
		{"Zabbix", tcp, 10050, []said{clientHex("5a425844 01 0b00000000000000"), serverHex("5a425844 01 0100000000000000")}, Zabbix, "", 95},
		{"Checkmk", tcp, 6556, []said{serverSays("<<<check_mk>>>\nVersion: 2.1.0\n")}, CheckMK, "", 95},
		{"Munin", tcp, 4949, []said{serverSays("# munin node at example.com\n"), clientSays("cap multigraph\n")}, Munin, "", 95},
		{"collectd", udp, 25826, []said{clientHex("0000 0009 686f7374 00 0008 000c 1234567812345678")}, Collectd, "", 95},
		{"IPMI", udp, 623, []said{clientHex("06 00 ff 07 00 00000000 00000000 09 20 18 c8 81 00 38 8e 04 b5")}, IPMI, "", 95},
		{"ASF ping", udp, 623, []said{clientHex("06 00 ff 06 000011be 80 00 00 00")}, IPMI, "", 95},
		{"Roughtime", udp, 2002, []said{clientHex("524f55474854494d f4030000" + zeros(64))}, Roughtime, "", 95},
		{"Ookla", tcp, 8080, []said{clientSays("HI\n"), serverSays("HELLO 2.9 (2.9.3)\n")}, Ookla, "", 95},
		{"Dropbox", udp, 17500, []said{clientSays(`{"host_int": 12345, "version": [2, 0], "displayname": "", "port": 17500, "namespaces": [1]}`)}, DropboxLAN, "", 95},
		{"TiVo", udp, 2190, []said{clientSays("TiVoConnect=1\nSwVersion=1\n")}, TiVo, "", 95},
		{"BJNP", udp, 8611, []said{clientHex("424a4e50 01 01 0000 0001 0000 00000000")}, BJNP, "", 95},
		{"TACACS+", tcp, 49, []said{clientHex("c0 01 01 00 12345678 0000001a"), serverHex("c0 01 02 00 12345678 00000010")}, TACACS, "", 95},
		{"TACACS+ of two sessions", tcp, 49, []said{clientHex("c0 01 01 00 12345678 0000001a"), serverHex("c0 01 02 00 12345679 00000010")}, Unknown, "", 0},
		{"XDMCP", udp, 177, []said{clientHex("0001 0002 0001 00")}, XDMCP, "", 95},
		{"CAPWAP", udp, 5246, []said{clientHex("00 10 02 00 0000 0000 00000001 00 0003 00")}, CAPWAP, "", 95},
		{"PFCP", udp, 8805, []said{clientHex("20 01 000c 000001 00 0060 0004 e8c0ffee")}, PFCP, "", 95},
		{"LISP", udp, 4342, []said{clientHex("30 00 00 01 1234567812345678")}, LISP, "", 80},
		{"Ubiquiti", udp, 10001, []said{clientHex("01 00 0000")}, Ubiquiti, "", 95},
		{"Radmin", tcp, 4899, []said{clientHex("01000000 01000000 0808"), serverHex("01000000 25000002")}, Radmin, "", 95},
		{"NoMachine", tcp, 4000, []said{clientSays("NXSH-7.0.0\n"), serverSays("NXSH-7.0.0\n")}, NoMachine, "", 95},
		{"tinc", tcp, 655, []said{clientSays("0 alice 17.7\n"), serverSays("0 bob 17.7\n")}, Tinc, "", 95},
		{"DICOM", tcp, 104, []said{clientHex("01 00 000000cd 0001 0000 414e592d5343502020202020202020202020 4543484f53435520202020202020" + "20202020")}, DICOM, "", 95},
		{"HL7", tcp, 2575, []said{clientSays("\x0bMSH|^~\\&|A|B\r")}, HL7, "", 95},
		{"FIX", tcp, 9878, []said{clientSays("8=FIX.4.4\x019=75\x0135=A\x01")}, FIX, "", 95},
		{"SMPP", tcp, 2775, []said{clientHex("0000002f 00000002 00000000 00000001 534d5050335445535400")}, SMPP, "", 95},
		{"DRDA", tcp, 50000, []said{clientHex("0050 d0 41 0001 004a 1041 0008")}, DRDA, "", 95},
		{"Ceph", tcp, 6789, []said{serverSays("ceph v027"), clientSays("ceph v027")}, Ceph, "", 95},
		{"OSCAR", tcp, 5190, []said{clientHex("2a 01 1234 0004 00000001"), serverHex("2a 01 0001 0004 00000001")}, OSCAR, "", 95},
		{"OICQ", udp, 8000, []said{clientHex("02 1d0b 0062 1234 00012345" + noise(16) + "03")}, OICQ, "", 80},
		{"WeChat", tcp, 8080, []said{clientHex("16 f104 0080" + noise(64)), serverHex("16 f104 0050")}, WeChat, "", 95},
		{"Monero", tcp, 18080, []said{clientHex("0121010101010101 e600000000000000"), serverHex("0121010101010101")}, Monero, "", 95},
		{"HART-IP", udp, 5094, []said{clientHex("01 00 00 00 0002 000d 01 0000ea60")}, HARTIP, "", 95},
		{"FINS", udp, 9600, []said{clientHex("80 00 02 00 01 00 00 fb 00 00 01 01 82 0064 00 0001")}, FINS, "", 95},
		{"FINS over TCP", tcp, 9600, []said{clientHex("46494e53 0000000c 00000000 00000000 00000000")}, FINS, "", 95},
		{"ADS", tcp, 48898, []said{clientHex("0000 2c000000 c0a800020101 5303 c0a800010101 0180 0200 0400 0c000000 00000000 01000000")}, ADS, "", 95},
		{"C37.118", tcp, 4712, []said{clientHex("aa41 0012 003c 4d3f0e00 00000000 0005 3949")}, Synchrophasor, "", 95},
		{"MMS", tcp, 102, []said{clientHex("0300 0016 11 e0 0000 0001 00 c00109 c1020100 c2020102"), serverHex("0300 0016 11 d0 0001 0001 00 c00109 c1020100 c2020102"),
			clientHex("0300 0040 02f080 0d 39 05 06")}, MMS, "", 95},
		{"AMQP, in the middle", tcp, 5672, []said{clientHex("01 0001 0000000d 003c 0028 0000 00 06616d7170 00 ce 02")}, AMQP, "", 95},
		{"AMQP, a frame without its end", tcp, 5672, []said{clientHex("01 0001 0000000d 003c 0028 0000 00 06616d7170 00 cd 02")}, Unknown, "", 0},
	}
}

func TestOffice(t *testing.T) { checkVectors(t, officeVectors()) }
