#!/bin/sh
# Finds the browsers of the end-to-end tests (Chromium, and WebKit with a screen that nobody sees), and curl for those of
# the documents; installs what is missing when that needs no password. Prints Chromium's path.
set -eu

find_browser() {
    for candidate in "${TALLYSTICK_TEST_CHROMIUM:-}" chromium chromium-browser google-chrome; do
        [ -n "$candidate" ] && is_usable "$candidate" && command -v "$candidate" && return 0
    done
    return 1
}

# Ubuntu's packages of Chromium are a snap, or a script that asks for one: it sees nothing of what a test keeps below /tmp.
is_usable() {
    program=$(readlink -f "$(command -v "$1")") || return 1
    case $program in
    "" | */snap | /snap/*) return 1 ;;
    esac
    ! head -c 4096 "$program" | grep -q /snap/
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

install_package() {
    command -v apt-get >/dev/null 2>&1 || return 1
    [ "$(id -u)" -eq 0 ] || sudo -n true >/dev/null 2>&1 || return 1
    echo "Installing $1 for the end-to-end tests" >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$1" >/dev/null 2>&1 &&
        return 0
    as_root apt-get update -q >/dev/null 2>&1 || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$1" >/dev/null
}

command -v curl >/dev/null || install_package curl || true
if ! command -v curl >/dev/null; then
    echo "make: curl is needed for the tests of the documents:  sudo apt-get install -y curl" >&2
    exit 1
fi
# Both engines that phones have: a card that works in one of them only is no card.
command -v WebKitWebDriver >/dev/null || install_package webkit2gtk-driver || true
command -v Xvfb >/dev/null || install_package xvfb || true
if ! command -v WebKitWebDriver >/dev/null || ! command -v Xvfb >/dev/null; then
    echo "make: WebKit is needed for a test of the card:  sudo apt-get install -y webkit2gtk-driver xvfb" >&2
    exit 1
fi
find_browser && exit 0
install_package chromium || true
find_browser && exit 0
python=$(dirname "$0")/../.venv/bin/python
[ -x "$python" ] && "$python" "$(dirname "$0")/chromium.py" && exit 0
echo "make: no Chromium was found, and it could not be installed without a password." >&2
echo "      Install one, or name it:  sudo apt-get install -y chromium   or  TALLYSTICK_TEST_CHROMIUM=/path make test" >&2
exit 1
