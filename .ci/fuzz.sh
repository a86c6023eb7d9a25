#!/bin/sh
# fuzz.sh TIMES: runs every fuzz target of the tree, each by itself, because go
# test fuzzes one target at a time. TIMES is a number of runs (20000x) or a time
# (5m). A number is the better one for "make test": a time that is up while the
# fuzzer is still at the inputs it has kept, as happens on a loaded machine,
# fails with "context deadline exceeded".
set -eu

times=$1

# runs TARGET: how often it runs. Most targets do 10000 to 25000 runs a second.
# FuzzLoad writes two files a run, FuzzRoundTrip packs a package, and they do
# under 1000, so they get a tenth of a number; a time is the same for all.
runs() {
	case $1:$times in
	FuzzLoad:*0x | FuzzRoundTrip:*0x) echo "${times%0x}x" ;;
	*) echo "$times" ;;
	esac
}

# Inputs are made smaller by 10 runs each, not for up to a minute.
grep -rl --include='*_test.go' '^func Fuzz' . | xargs -rn1 dirname | sort -u | while read -r dir; do
	for target in $(go test -list '^Fuzz' "$dir" | grep '^Fuzz'); do
		n=$(runs "$target")
		echo "== fuzz $dir $target for $n"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$n" -fuzzminimizetime 10x -parallel 2 "$dir" </dev/null
	done
done
