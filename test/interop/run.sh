#!/usr/bin/env bash
# make interop: everything that needs the real programs.  Counts what cannot run here as skipped.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
passed=0 failed=0 skipped=0
for script in test/interop/*_test.py; do
    echo "== $script"
    out=$(python3 "$script" --build "$build" 2>&1)
    echo "$out"
    last=$(echo "$out" | tail -n 1)
    passed=$((passed + $(echo "$last" | sed -n 's/^\([0-9]*\) passed.*/\1/p')))
    failed=$((failed + $(echo "$last" | sed -n 's/.* \([0-9]*\) failed.*/\1/p')))
    skipped=$((skipped + $(echo "$last" | sed -n 's/.* \([0-9]*\) skipped.*/\1/p')))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
