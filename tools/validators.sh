#!/bin/sh
# Finds the programs by which tests check signatures of passes (openssl, certtool of GnuTLS), and installs what is
# missing when that needs no password: prints the path of each.
set -eu

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

install_packages() {
    command -v apt-get >/dev/null 2>&1 || return 1
    [ "$(id -u)" -eq 0 ] || sudo -n true >/dev/null 2>&1 || return 1
    echo "Installing $* for the tests of passes" >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null 2>&1 &&
        return 0
    as_root apt-get update -q >/dev/null 2>&1 || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null
}

command -v openssl >/dev/null && command -v certtool >/dev/null || install_packages openssl gnutls-bin || true
command -v openssl && command -v certtool && exit 0
echo "tools/validators.sh: install them first:  sudo apt-get install -y openssl gnutls-bin" >&2
exit 1
