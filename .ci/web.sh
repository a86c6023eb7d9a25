#!/bin/sh
# web.sh: what the tests of the web UI run beside the browser: npm's packages,
# as webui/test/package-lock.json names them, and Prometheus.
set -eu

cd "$(dirname "$0")/.."
.ci/prometheus.sh bin/prometheus
cd webui/test
cmp -s package-lock.json node_modules/installed.json && exit 0
echo "== npm ci"
npm ci --no-audit --no-fund --loglevel=error
cp package-lock.json node_modules/installed.json
