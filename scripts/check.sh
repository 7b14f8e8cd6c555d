#!/usr/bin/env bash
# check.sh: what a reviewer should not have to say: form, vet for three systems, lint, known flaws of dependencies.
# check.sh fmt: puts the form right instead.
. "$(dirname "$0")/lib.sh"
use_go

golangci=v2.13.0   # needs Go 1.26
govulncheck=v1.6.0
failed=()
part() { step "$@" || failed+=("$1"); }

form() {
  local wrong
  wrong=$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 gofmt -l)
  [ -z "$wrong" ] || { printf 'not in the form of gofmt:\n%s\n' "$wrong"; return 1; }
  "$TOOLS/golangci-lint-$golangci/golangci-lint" fmt --diff
}

lint() { CGO_ENABLED=0 "$TOOLS/golangci-lint-$golangci/golangci-lint" run --build-tags "$HEADLESS_TAGS" ./...; }

# vet OS: the files of other systems are compiled nowhere else in this house. The root package is left out for macOS:
# Fyne's app package does not compile for it without Apple's cgo, with the tag ci neither.
vet() {
  local packages=./...
  [ "$1" != darwin ] || packages=$(go list -tags "$HEADLESS_TAGS" ./... | grep -v '^coffer$')
  # shellcheck disable=SC2086 # a list of packages
  GOOS=$1 CGO_ENABLED=0 go vet -tags "$HEADLESS_TAGS" $packages
}

shell() { shellcheck -x -P SCRIPTDIR scripts/*.sh .ci/run; }

# flaws asks the Go vulnerability database. Without a network there is no answer: that is said, and is no failure.
flaws() {
  if ! curl -fsS --max-time 20 -o /dev/null https://vuln.go.dev/index/db.json; then
    say "   govulncheck was NOT run: https://vuln.go.dev cannot be reached from here"
    return 0
  fi
  tool govulncheck $govulncheck golang.org/x/vuln/cmd/govulncheck || return
  CGO_ENABLED=0 "$TOOLS/govulncheck-$govulncheck/govulncheck" -tags "$HEADLESS_TAGS" ./...
}

tool golangci-lint $golangci github.com/golangci/golangci-lint/v2/cmd/golangci-lint
if [ "${1:-}" = fmt ]; then
  exec "$TOOLS/golangci-lint-$golangci/golangci-lint" fmt
fi
scripts/packages.sh shell fetch
part "form" form
for os in linux darwin windows; do part "vet for $os" vet $os; done
part "lint" lint
part "shell scripts" shell
part "known flaws of dependencies" flaws

[ ${#failed[@]} -eq 0 ] || die "$(printf 'FAILED: %s\n' "${failed[@]}")"
say "all checks passed in $SECONDS s"
