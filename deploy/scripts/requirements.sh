# What the system needs beside its packages, for the scripts at the root: says plainly what is missing, and installs it
# where that is possible (Debian, as root or with sudo). Sourced, not run.

fail_missing() {
  echo "missing: $1" >&2
  exit 2
}

require_dotnet() {
  command -v dotnet >/dev/null 2>&1 || fail_missing "the .NET SDK 10 (dotnet is not on the PATH); on Debian: apt-get install dotnet-sdk-10.0"
  case "$(cd "${root:-.}" && dotnet --version 2>/dev/null)" in
    10.*) ;;
    *) fail_missing "the .NET SDK 10; found: $(dotnet --list-sdks 2>/dev/null | tr '\n' ' ')" ;;
  esac
}

have_library() {
  ldconfig -p 2>/dev/null | grep -q "$1" || [ -n "$(find /usr/lib /usr/local/lib /lib -name "$1*" -print -quit 2>/dev/null)" ]
}

# require_library FILE PACKAGE: a shared library of the system, from Debian's package.
require_library() {
  have_library "$1" && return
  install_packages "$2"
  have_library "$1" || fail_missing "the shared library $1 (Debian's package $2)"
}

# PostgreSQL's own programs, which Debian keeps out of PATH.
have_postgresql() {
  command -v pg_ctl >/dev/null 2>&1 || [ -n "$(find /usr/lib/postgresql -name pg_ctl -print -quit 2>/dev/null)" ]
}

require_postgresql() {
  have_postgresql && return
  install_packages postgresql
  have_postgresql || fail_missing "PostgreSQL's programs (Debian's package postgresql)"
}

# require_command COMMAND PACKAGE
require_command() {
  command -v "$1" >/dev/null 2>&1 && return
  install_packages "$2"
  command -v "$1" >/dev/null 2>&1 || fail_missing "the command $1 (Debian's package $2)"
}

install_packages() {
  command -v apt-get >/dev/null 2>&1 || fail_missing "$* (there is no apt-get here: install it by your system's means)"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || fail_missing "$* (run as root: apt-get install -y $*)"
    as_root=(sudo)
  fi
  echo "installing: $*" >&2
  local log
  if ! log=$("${as_root[@]}" apt-get install -y --no-install-recommends "$@" 2>&1) \
    && ! log=$("${as_root[@]}" apt-get update 2>&1 && "${as_root[@]}" apt-get install -y --no-install-recommends "$@" 2>&1); then
    printf '%s\n' "$log" >&2
    fail_missing "$* (apt-get could not install it; its output is above)"
  fi
}
