#!/bin/sh
# lint-js.sh: eslint over LuCI's pages and their tests, then the tests
# themselves. eslint and what it needs are those of luci/package-lock.json; they
# are fetched once, and again when that file changes.
set -eu

cd luci
if ! cmp -s package-lock.json node_modules/.lock; then
	echo "== fetching eslint"
	rm -rf node_modules
	npm ci --ignore-scripts --silent
	cp package-lock.json node_modules/.lock
fi
echo "== eslint"
node_modules/.bin/eslint --max-warnings 0 .
echo "== LuCI's pages on a stand-in of LuCI"
out=$(mktemp)
trap 'rm -f "$out"' EXIT
node --test test/*.test.mjs >"$out" 2>&1 || {
	cat "$out"
	exit 1
}
