#!/bin/sh
# ensure_browser.sh VENV: see that Debian's chromium and the library that drives it are there, for the tests of the page;
# without them these are skipped. As root chromium is installed; otherwise the line that installs it is printed.
set -eu
venv=$1

"$venv/bin/python" -c "import playwright" 2>/dev/null ||
    "$venv/bin/pip" install --quiet --disable-pip-version-check "playwright>=1.60" ||
    echo "playwright does not install here: the tests of the page in a browser are skipped" >&2

command -v chromium >/dev/null && exit 0
if [ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing chromium"
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
    then exit 0; fi
fi
echo "There is no chromium: the tests of the page in a browser are skipped. Install it with: sudo apt-get install -y chromium" >&2
