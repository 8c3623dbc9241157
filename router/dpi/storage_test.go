package dpi

import (
	"testing"

	"github.com/trenza-router/trenza/router/flow"
)

// storageVectors are files, databases and directories.
func storageVectors() []vector {
	const tcp, udp = flow.ProtoTCP, flow.ProtoUDP
	name := "20 4645434143414341434143414341434143414341434143414341434143414141 00"
	return []vector{
		{"SMB 1", tcp, 445, []said{clientHex("00000054 ff534d42 72 00000000 18 53c8"), serverHex("00000054 ff534d42 72")}, SMB, "", 95},
		{"SMB 2", tcp, 445, []said{clientHex("000000a2 fe534d42 4000 0000"), serverHex("00000100 fe534d42")}, SMB, "", 95},
		{"SMB in a NetBIOS session", tcp, 139, []said{clientHex("81000044" + name + name), serverHex("82000000"), clientHex("00000054 ff534d42 72"), serverHex("00000054 ff534d42")}, SMB, "", 95},
		{"a NetBIOS session without more", tcp, 139, []said{clientHex("81000044" + name + name)}, NetBIOSSession, "", 95},
		{"NFS", tcp, 2049, []said{clientHex("80000028 12345678 00000000 00000002 000186a3 00000003 00000000" + zeros(16))}, NFS, "", 95},
		{"the port mapper", udp, 111, []said{clientHex("12345678 00000000 00000002 000186a0 00000002 00000003" + zeros(32))}, RPC, "", 95},
		{"mount", udp, 635, []said{clientHex("12345678 00000000 00000002 000186a5 00000003 00000001" + zeros(16))}, NFS, "", 95},
		{"TFTP", udp, 69, []said{clientHex("0001 72666331333530 00 6f63746574 00")}, TFTP, "", 95},
		{"TFTP, options taken", udp, 34776, []said{clientHex("0006 7473697a650034303533 00 626c6b73697a6500353132 00 74696d656f75740036 00"), serverHex("0004 0000")}, TFTP, "", 95},
		{"TFTP, write taken", udp, 34776, []said{clientHex("0004 0000"), serverHex("0003 0001 734f 3967 594e")}, TFTP, "", 80},
		{"TFTP data", udp, 40000, []said{clientHex("0003 0001" + noise(512)), serverHex("0004 0001")}, TFTP, "", 60},
		{"AFP", tcp, 548, []said{clientHex("00 03 0001 00000000 00000000 00000000")}, AFP, "", 95},
		{"rsync", tcp, 873, []said{serverSays("@RSYNCD: 31.0\n"), clientSays("@RSYNCD: 31.0\n")}, Rsync, "", 95},
		{"git", tcp, 9418, []said{clientSays("0032git-upload-pack /project.git\x00host=example.com\x00")}, Git, "", 95},
		{"SVN", tcp, 3690, []said{serverSays("( success ( 2 2 ( ) ( edit-pipeline svndiff1 ) ) ) "), clientSays("( 2 ( edit-pipeline svndiff1 ) 27:svn://svn.example.com/repo ) ")}, SVN, "", 95},
		{"MySQL", tcp, 3306, []said{serverHex("4a0000 00 0a 382e302e3336 00 0b000000" + noise(8) + "00"), clientHex("540000 01 85a6ff01")}, MySQL, "", 95},
		{"MySQL refuses", tcp, 3306, []said{serverHex("450000 00 ff 6a04 486f7374")}, MySQL, "", 95},
		{"PostgreSQL", tcp, 5432, []said{clientHex("00000029 00030000 75736572 00 706f737467726573 00")}, PostgreSQL, "", 95},
		{"PostgreSQL asks for TLS", tcp, 5432, []said{clientHex("00000008 04d2162f"), serverSays("S")}, PostgreSQL, "", 95},
		{"Redis", tcp, 6379, []said{clientSays("*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"), serverSays("$-1\r\n")}, Redis, "", 95},
		{"MongoDB OP_MSG", tcp, 27017, []said{clientHex("44000000 01000000 00000000 dd070000 00000000 00 2f000000")}, MongoDB, "", 95},
		{"MongoDB OP_QUERY", tcp, 27017, []said{clientHex("3a000000 01000000 00000000 d4070000 04000000 61646d696e2e24636d6400")}, MongoDB, "", 95},
		{"Memcached", tcp, 11211, []said{clientSays("get key\r\n"), serverSays("END\r\n")}, Memcached, "", 95},
		{"Memcached, binary", tcp, 11211, []said{clientHex("80 00 0003 00 00 0000 00000003" + zeros(12) + "6b6579"), serverHex("81 00 0000")}, Memcached, "", 95},
		{"Memcached over UDP", udp, 11211, []said{clientHex("0001 0000 0001 0000 73746174730d0a")}, Memcached, "", 95},
		{"Cassandra options", tcp, 9042, []said{clientHex("04 00 0000 05 00000000")}, Cassandra, "", 95},
		{"Cassandra startup", tcp, 9042, []said{clientHex("03 00 0000 01 00000016 0001 000b 43514c5f56455253494f4e 0005 332e302e30")}, Cassandra, "", 95},
		{"TDS prelogin", tcp, 1433, []said{clientHex("12 01 002f 0000 01 00 00 001a 0006 01 0020 0001 02 0021 0001 03 0022 0004 ff")}, MSSQL, "", 95},
		{"Oracle TNS", tcp, 1521, []said{clientHex("00c8 0000 01 00 0000 0139 012c 0c41 2000")}, Oracle, "", 95},
		{"Elasticsearch", tcp, 9300, []said{clientHex("4553 00000037 0000000000000001 08 006b5f64")}, Elasticsearch, "", 95},
		{"Kafka", tcp, 9092, []said{clientHex("00000014 0012 0000 00000001 000a 6b61666b612d74657374"), serverHex("00000010 00000001 0000")}, Kafka, "", 95},
		{"Kafka of other numbers", tcp, 9092, []said{clientHex("00000014 0012 0000 00000001 000a 6b61666b612d74657374"), serverHex("00000010 00000007 0000")}, Unknown, "", 0},
		{"AMQP 0-9-1", tcp, 5672, []said{clientHex("414d5150 00 00 09 01")}, AMQP, "", 95},
		{"AMQP 1.0", tcp, 5672, []said{clientHex("414d5150 03 01 00 00")}, AMQP, "", 95},
		{"NATS", tcp, 4222, []said{serverSays(`INFO {"server_id":"N"} ` + "\r\n"), clientSays(`CONNECT {"verbose":false}` + "\r\n")}, NATS, "", 95},
		{"ZooKeeper", tcp, 2181, []said{clientHex("0000002d 00000000" + zeros(8) + "00007530" + zeros(8) + "00000010" + zeros(17))}, ZooKeeper, "", 95},
		{"LDAP bind", tcp, 389, []said{clientHex("300c 020101 6007 020103 0400 8000")}, LDAP, "", 95},
		{"LDAP search", tcp, 3890, []said{clientHex("3084 00000029 020102 63 84 00000020 0400 0a0100 0a0100 020100 020100 010100 870b 6f626a656374436c617373 3000")}, LDAP, "", 95},
		{"CLDAP", udp, 389, []said{clientHex("3025 020101 6320 0400 0a0100 0a0100 020100 020100 010100 870b 6f626a656374436c617373 3000")}, LDAP, "", 95},
		{"Kerberos", udp, 88, []said{clientHex("6a0c 300a a103 020105 a203 02010a")}, Kerberos, "", 95},
		{"Kerberos over TCP", tcp, 88, []said{clientHex("0000000e 6a0c 300a a103 020105 a203 02010a")}, Kerberos, "", 95},
		{"RADIUS", udp, 1812, []said{clientHex("01 00 001b" + noise(16) + "01 07 6e656d6f 21")}, RADIUS, "", 95},
		{"DCE RPC bind", tcp, 135, []said{clientHex("05 00 0b 03 10000000 4800 0000 01000000"), serverHex("05 00 0c 03 10000000 3c00 0000 01000000")}, DCERPC, "", 95},
		{"DCE RPC over UDP", udp, 34964, []said{clientHex("04 00 20 00 100000 00" + noise(66) + "0800 0000 00 00" + noise(8))}, DCERPC, "", 95},
	}
}

func TestStorage(t *testing.T) { checkVectors(t, storageVectors()) }
