#!/bin/sh
# Makes the virtual environment of the project: make_venv.sh DIRECTORY
#
# Debian and Ubuntu ship Python without `ensurepip`; it is installed when that needs no password,
# otherwise the command that mends it is printed.
set -eu

venv=$1

find_python() {
    for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return 0
        fi
    done
    echo "make: Python 3.11 or newer is needed and was not found." >&2
    echo "      Install it, or name one: make PYTHON=/path/to/python3 ..." >&2
    return 1
}

has_venv() {
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

install_venv_package() {
    command -v apt-get >/dev/null 2>&1 || return 1
    [ "$(id -u)" -eq 0 ] || sudo -n true >/dev/null 2>&1 || return 1
    echo "Installing $package (Python here comes without the venv module)"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$package" >/dev/null 2>&1 && return 0
    as_root apt-get update -q >/dev/null 2>&1 || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$package" >/dev/null
}

python=$(find_python)
package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')

if ! has_venv; then
    install_venv_package || true
    if ! has_venv; then
        echo "make: $python has no venv module, and it could not be installed without a password." >&2
        echo "      Run this once, then make again:  sudo apt-get install -y $package" >&2
        exit 1
    fi
fi

# A run that was stopped half-way leaves an environment without pip: begin anew.
if [ -d "$venv" ] && ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    rm -rf "$venv"
fi
[ -d "$venv" ] || "$python" -m venv "$venv"
