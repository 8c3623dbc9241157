package openwrt

import "time"

// SetJoinTime bounds how long a network may take to let a station in.
func (c *Client) SetJoinTime(d time.Duration) { c.joinTime = d }
