package dpi

import "slices"

// Parsers are all protocols that are read, in order of trust: a Found counts when every parser before it in the list has said
// NotMine, so that the answer depends neither on how a stream was cut nor on luck. Exact structure comes first, patterns of a few bytes
// later, statistics last.
func Parsers() []Parser {
	return slices.Concat(webParsers(), serviceParsers(), mediaParsers(), weakParsers())
}

// webParsers read the web's protocols and the names in them.
func webParsers() []Parser {
	return []Parser{tlsParser(), httpParser(), http2Parser(), quicParser()}
}
