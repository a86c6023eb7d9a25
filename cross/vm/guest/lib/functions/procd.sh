#!/bin/sh
# Stands in for procd's shell functions, as far as the effect goes on services
# of one instance: a definition that has not changed keeps its process.
# shellcheck disable=SC2154 # rc.common sets name

procd_open_instance() {
	procd_command='' procd_env='' procd_delay=5
}

procd_set_param() {
	key=$1
	shift
	case $key in
	command) procd_command=$* ;;
	env) procd_env=$* ;;
	respawn) procd_delay=$2 ;;
	esac
}

procd_close_instance() {
	mkdir -p "/tmp/procd/$name"
	new="$procd_delay $procd_env $procd_command"
	if procd_running "$name"; then
		[ "$new" = "$(cat "/tmp/procd/$name/definition")" ] && return 0
		procd_kill "$name"
	fi
	echo "$new" >"/tmp/procd/$name/definition"
	# shellcheck disable=SC2086 # words of an environment and a command
	setsid /sbin/supervise "$name" "$procd_delay" $procd_env $procd_command \
		</dev/null >>"/tmp/$name.log" 2>&1 &
	echo $! >"/tmp/procd/$name/supervisor"
}

procd_running() {
	[ -e "/tmp/procd/$1/supervisor" ] && kill -0 "$(cat "/tmp/procd/$1/supervisor")" 2>/dev/null
}

procd_send_signal() {
	kill -"$3" "$(cat "/tmp/procd/$1/pid")"
}

# procd_kill NAME: SIGTERM, and SIGKILL ten seconds later.
procd_kill() {
	procd_running "$1" || return 0
	kill -TERM "$(cat "/tmp/procd/$1/supervisor")"
	patience=100
	while procd_running "$1" && [ $patience -gt 0 ]; do
		usleep 100000
		patience=$((patience - 1))
	done
	procd_running "$1" || return 0
	kill -KILL "$(cat "/tmp/procd/$1/supervisor")" "$(cat "/tmp/procd/$1/pid")"
}

procd_add_reload_trigger() { return 0; }
procd_add_raw_trigger() { return 0; }
