package dpi

// readNNTP reads the greeting and the first command (RFC 3977 §5.1, RFC 4643).
func readNNTP(v *View, r *Result) Verdict {
	client := saysAny(v.Client, "MODE READER", "MODE STREAM", "CAPABILITIES", "GROUP ", "LIST\r\n", "LIST ", "AUTHINFO ", "ARTICLE ", "XOVER ",
		"OVER ", "HEAD ", "BODY ", "STARTTLS", "IHAVE ", "NEWGROUPS ", "NEWNEWS ", "DATE\r\n", "QUIT\r\n", "HELP\r\n", "POST\r\n", "XFEATURE ")
	return both(client, startsAny(v.Server, "200 ", "201 ", "400 ", "502 "), r, v.ifPort(119, 80))
}
