#!/bin/sh
# Line coverage of src/ from a build made with -Db_coverage=true: tools/cov.sh BUILD
set -eu
gcovr -r . --object-directory "$1" --filter src/ -o "$1/coverage.txt" && tail -3 "$1/coverage.txt"
