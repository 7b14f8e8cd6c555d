#!/usr/bin/env bash
# fuzz.sh: runs every fuzz target of the tree for FUZZTIME (default 10s) each. What it finds is kept below testdata/fuzz.
. "$(dirname "$0")/lib.sh"
use_go

found=0 failed=()
while IFS=: read -r file target; do
  found=$((found + 1))
  package=./$(dirname "$file")
  step "$package $target" env CGO_ENABLED=0 go test -tags "$HEADLESS_TAGS" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" "$package" ||
    failed+=("$package $target")
done < <(git ls-files --cached --others --exclude-standard '*_test.go' | xargs grep -oE '^func Fuzz[A-Za-z0-9_]*' | sed 's/func //' | sort -u)

[ "$found" -gt 0 ] || die "found no fuzz target: is this the root of the tree?"
[ ${#failed[@]} -eq 0 ] || die "$(printf 'FAILED: %s\n' "${failed[@]}")"
say "$found fuzz targets, no failure"
