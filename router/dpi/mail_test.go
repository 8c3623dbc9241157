package dpi

import (
	"testing"

	"github.com/trenza-router/trenza/router/flow"
)

// talkVectors are text protocols in which the server greets, and SSH: the dialogues of their RFCs.
func talkVectors() []vector {
	const tcp = flow.ProtoTCP
	return []vector{
		{"SSH", tcp, 22, []said{serverSays("SSH-2.0-OpenSSH_9.6\r\n"), clientSays("SSH-2.0-PuTTY_Release_0.80\r\n")}, SSH, "", 95},
		{"SSH, client alone", tcp, 2222, []said{clientSays("SSH-2.0-Go\r\n")}, SSH, "", 95},
		{"SSH 1", tcp, 22, []said{serverSays("SSH-1.99-Cisco-1.25\n")}, SSH, "", 95},
		{"SMTP", tcp, 25, []said{serverSays("220 foo.com Simple Mail Transfer Service Ready\r\n"), clientSays("EHLO bar.com\r\n"), serverSays("250-foo.com greets bar.com\r\n")}, SMTP, "", 95},
		{"SMTP, lower case", tcp, 2525, []said{serverSays("220-mx\r\n220 ready\r\n"), clientSays("ehlo a\r\n")}, SMTP, "", 95},
		{"SMTP, greeting alone", tcp, 2525, []said{serverSays("220 mx.example.com ESMTP Postfix\r\n")}, SMTP, "", 80},
		{"IMAP", tcp, 143, []said{serverSays("* OK IMAP4rev2 Service Ready\r\n"), clientSays("a001 login mrc secret\r\n")}, IMAP, "", 95},
		{"IMAP, capability", tcp, 143, []said{serverSays("* OK [CAPABILITY IMAP4rev1] ready\r\n"), clientSays("A1 CAPABILITY\r\n")}, IMAP, "", 95},
		{"POP3", tcp, 110, []said{serverSays("+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n"), clientSays("APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n")}, POP3, "", 95},
		{"POP3 with user", tcp, 110, []said{serverSays("+OK ready\r\n"), clientSays("USER mrose\r\n")}, POP3, "", 95},
		{"FTP", tcp, 21, []said{serverSays("220 (vsFTPd 3.0.5)\r\n"), clientSays("USER anonymous\r\n"), serverSays("331 Please specify the password.\r\n")}, FTP, "", 95},
		{"FTP with TLS", tcp, 2121, []said{serverSays("220 ready\r\n"), clientSays("AUTH TLS\r\n")}, FTP, "", 95},
		{"FTP, greeting alone", tcp, 21, []said{serverSays("220 ProFTPD Server\r\n")}, FTP, "", 80},
		{"FTP, left at once", tcp, 21, []said{serverSays("220 ready\r\n"), clientSays("QUIT\r\n")}, FTP, "", 95},
		{"SMTP, left at once", tcp, 25, []said{serverSays("220 ready\r\n"), clientSays("QUIT\r\n")}, SMTP, "", 95},
		{"FTP listing", tcp, 40000, []said{serverSays("drwxr-xr-x    2 ftp      ftp          4096 Jan 01 00:00 pub\r\n")}, FTPData, "", 80},
		{"FTP listing with a total", tcp, 40000, []said{clientSays("total 24\n-rw-r--r-- 1 a a 1 Jan 1 a\n")}, FTPData, "", 80},
		{"NNTP", tcp, 119, []said{serverSays("200 NNTP Service Ready, posting permitted\r\n"), clientSays("MODE READER\r\n")}, NNTP, "", 95},
		{"English", tcp, 2525, []said{serverSays("Hello there, how are you today?\r\n"), clientSays("I am fine.\r\n")}, Unknown, "", 0},
	}
}

func TestTalk(t *testing.T) { checkVectors(t, talkVectors()) }
