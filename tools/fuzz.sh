#!/usr/bin/env bash
# Runs libFuzzer targets: tools/fuzz.sh [TARGET or ''] SECONDS.  Corpus in test/fuzz/corpus/TARGET,
# new finds in build-fuzz/corpus/TARGET; a crash leaves its input beside them and fails.
set -u
cd "$(dirname "$0")/.." || exit 1
target=$1
secs=${2:-60}
if [ ! -f build-fuzz/build.ninja ]; then
    CC=clang meson setup build-fuzz -Dfuzz=true -Dtests=false -Db_sanitize=address,undefined \
        -Db_lundef=false >build-fuzz.log 2>&1 || { tail -5 build-fuzz.log; rm -f build-fuzz.log
        echo "the fuzz build cannot be set up here (clang runtime missing?)"; exit 77; }
    rm -f build-fuzz.log
fi
ninja -C build-fuzz >/dev/null || { ninja -C build-fuzz | tail -20; exit 1; }
passed=0
failed=0
for bin in build-fuzz/test/fuzz/*_fuzz; do
    name=$(basename "$bin")
    [ -z "$target" ] || [ "$name" = "$target" ] || [ "$name" = "${target}_fuzz" ] || continue
    mkdir -p "build-fuzz/corpus/$name"
    seeds="test/fuzz/corpus/${name%_fuzz}"
    [ -d "$seeds" ] || seeds=""
    # shellcheck disable=SC2086
    if timeout $((secs + 120)) "$bin" -max_total_time="$secs" -max_len=65536 -rss_limit_mb=2048 \
        -artifact_prefix="build-fuzz/corpus/$name-" "build-fuzz/corpus/$name" $seeds \
        >"build-fuzz/$name.log" 2>&1; then
        passed=$((passed + 1))
        [ -z "$target" ] || tail -3 "build-fuzz/$name.log"
    else
        failed=$((failed + 1))
        echo "FAILED $name"
        tail -40 "build-fuzz/$name.log"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
