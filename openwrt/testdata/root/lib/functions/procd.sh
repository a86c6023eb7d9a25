#!/bin/sh
# A stand-in for procd and its shell half. What it is told is in /tmp/procd/calls.
# It runs what it is told to run where there is a file /tmp/procd/live; as the
# real one, it keeps a process whose command and environment are unchanged.
dir=/tmp/procd
mkdir -p $dir

told() { echo "$*" >>$dir/calls; }

procd_open_instance() { told instance; }
procd_close_instance() { :; }
procd_set_param() {
	told "$*"
	param=$1
	shift
	case $param in
	command) command=$* ;;
	env) environment=$* ;;
	esac
}
procd_add_reload_trigger() { told "reload on $*"; }
procd_add_raw_trigger() { told "on $*"; }

running() { [ -f $dir/pid ] && [ -d "/proc/$(cat $dir/pid)" ]; }

procd_set() {
	[ -f $dir/live ] || return 0
	running && [ "$(cat $dir/spec)" = "$environment $command" ] && return 0
	running && kill "$(cat $dir/pid)"
	while running; do sleep 0.05; done
	echo "$environment $command" >$dir/spec
	# shellcheck disable=SC2086 # words
	env $environment $command >>$dir/log 2>&1 &
	echo $! >$dir/pid
}

# It does not wait for the end, and nor does the real one.
procd_kill() {
	told "kill $1"
	running || return 0
	kill "$(cat $dir/pid)"
	: >$dir/spec
}

procd_send_signal() {
	told "signal $*"
	running || return 0
	kill -s "$3" "$(cat $dir/pid)"
}
