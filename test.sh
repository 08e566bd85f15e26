#!/usr/bin/env bash
# Installs what the tests need, builds, and runs every test: unit and property tests, the node on an embedded broker, real
# processes, the simulator and its planted bugs. Ends with one line: N passed, N failed, N skipped.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$root" || exit 2
# shellcheck source=deploy/scripts/requirements.sh
. "$root/deploy/scripts/requirements.sh"
require_dotnet
require_library librdkafka.so.1 librdkafka1
require_library libsqlite3.so.0 libsqlite3-0
require_postgresql
(require_command ip iproute2) || echo "without it the tests on several hosts are skipped" >&2

passed=0 failed=0 skipped=0
count() { # count passed|failed|skipped NUMBER
  case $1 in
    passed) passed=$((passed + $2)) ;;
    failed) failed=$((failed + $2)) ;;
    skipped) skipped=$((skipped + $2)) ;;
  esac
}
finish() {
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
  exit
}

echo "== build"
if ! dotnet build Analytics.Actors.sln -c Release --nologo -v quiet; then
  count failed 1
  finish
fi

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
run_tests() { # run_tests PROJECT
  echo "== $1"
  dotnet test "tests/$1" -c Release --no-build --nologo -v quiet --logger "console;verbosity=minimal" --logger "trx;LogFileName=$1.trx" --results-directory "$results"
  local counters
  counters=$(grep -o '<Counters [^>]*' "$results/$1.trx" 2>/dev/null | head -n 1)
  if [ -z "$counters" ]; then
    echo "no results of $1"
    count failed 1
    return
  fi
  local total executed good
  total=$(sed -n 's/.* total="\([0-9]*\)".*/\1/p' <<<"$counters")
  executed=$(sed -n 's/.* executed="\([0-9]*\)".*/\1/p' <<<"$counters")
  good=$(sed -n 's/.* passed="\([0-9]*\)".*/\1/p' <<<"$counters")
  count passed "$good"
  count failed $((executed - good))
  count skipped $((total - executed))
}

check() { # check NAME COMMAND...: a program whose exit code is the verdict
  local name=$1
  shift
  echo "== $name"
  if "$@"; then count passed 1; else count failed 1; fi
}

run_tests Analytics.Actors.Tests
run_tests Analytics.Actors.Integration
simulate=(dotnet run -c Release --no-build --project tests/Analytics.Actors.Simulation --)
check "simulator: 300 seeds" "${simulate[@]}" --seeds 300
check "simulator: five planted bugs, others every day" "${simulate[@]}" --bugs 5
finish
