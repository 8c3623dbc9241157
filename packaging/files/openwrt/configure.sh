# Sourced by /etc/init.d/trenza after /lib/functions.sh: makes the daemon's configuration of /etc/config/trenza.

# trenza_quote prints a YAML string in single quotes, so that no value of UCI can become something else than a string.
trenza_quote() {
	printf "'%s'" "$(printf '%s' "$1" | tr -d '\n\r' | sed "s/'/''/g")"
}

trenza_lan() {
	local device
	config_get device "$1" device
	[ -n "$device" ] && printf '  - {device: %s}\n' "$(trenza_quote "$device")"
}

trenza_link() {
	local value
	config_get value "$1" device
	[ -n "$value" ] || return 0
	printf '  - name: %s\n    device: %s\n' "$(trenza_quote "$1")" "$(trenza_quote "$value")"
	for option in ipv4 ipv6 role weight; do
		config_get value "$1" "$option"
		[ -z "$value" ] || case "$option,$value" in
		weight,*[!0-9]*) echo "trenza: weight of link $1 is no number" >&2 ;;
		weight,*) printf '    weight: %s\n' "$value" ;;
		*) printf '    %s: %s\n' "$option" "$(trenza_quote "$value")" ;;
		esac
	done
	config_get_bool value "$1" metered 0
	[ "$value" = 1 ] && printf '    metered: true\n'
	return 0
}

# trenza_configure prints the path of the configuration: the user's own file, or one in memory made of UCI. config_load has run.
trenza_configure() {
	local file listen
	config_get file main config
	if [ -n "$file" ]; then
		echo "$file"
		return 0
	fi
	file=${TRENZA_RUN:-/var/run}/trenza.yaml
	config_get listen main listen 127.0.0.1:8080
	{
		echo "# Made of /etc/config/trenza at each start."
		echo "state: /etc/trenza/state"
		echo "run: /var/run/trenza"
		echo "leases: [/tmp/dhcp.leases]"
		printf 'web: {listen: %s}\n' "$(trenza_quote "$listen")"
		# dnsmasq serves names on OpenWrt, and stays what clients are told to ask: queries are led past it.
		echo "resolver: {listen: [':5335']}"
		echo "lan:"
		config_foreach trenza_lan lan
		echo "links:"
		config_foreach trenza_link link
	} >"$file.new" && mv "$file.new" "$file" || return 1
	echo "$file"
}
