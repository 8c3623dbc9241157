package linux

import "log/slog"

type firewall struct {
	nft string
	log *slog.Logger
}
