#!/bin/sh
# ensure_gl.sh: see that headless OpenGL (EGL) is there for the scene renderer. As root it is installed; otherwise the
# one line that installs it is printed and the rest goes on (only rendering needs it, asking the model does not).
set -eu
packages="libegl1 libgl1 libgl1-mesa-dri"

[ "$(uname -s)" = Linux ] || exit 0
have() { ldconfig -p 2>/dev/null | grep -q "$1" || /sbin/ldconfig -p 2>/dev/null | grep -q "$1"; }
if have libEGL.so.1 && have libGL.so.1; then exit 0; fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing headless OpenGL: $packages"
    # shellcheck disable=SC2086  # a list of packages
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
    then exit 0; fi
fi
echo "Headless OpenGL is missing; rendering scenes needs it. Install it with: sudo apt-get install -y $packages" >&2
