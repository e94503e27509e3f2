#!/bin/sh
# Finds the browser of the end-to-end tests, and installs it when that needs no password: prints its path.
set -eu

find_browser() {
    for candidate in "${TALLYSTICK_TEST_CHROMIUM:-}" chromium chromium-browser google-chrome; do
        [ -n "$candidate" ] && command -v "$candidate" && return 0
    done
    return 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

install_browser() {
    command -v apt-get >/dev/null 2>&1 || return 1
    [ "$(id -u)" -eq 0 ] || sudo -n true >/dev/null 2>&1 || return 1
    echo "Installing chromium for the end-to-end tests" >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium >/dev/null 2>&1 &&
        return 0
    as_root apt-get update -q >/dev/null 2>&1 || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium >/dev/null
}

find_browser && exit 0
install_browser || true
find_browser && exit 0
echo "make: no Chromium was found, and it could not be installed without a password." >&2
echo "      Install one, or name it:  sudo apt-get install -y chromium   or  TALLYSTICK_TEST_CHROMIUM=/path make test" >&2
exit 1
