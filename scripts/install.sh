#!/bin/sh
# install.sh PYTHON VENV: make the virtual environment and install Perceptio into it, editable, with its tools.
set -eu
python=$1
venv=$2
torch_cpu_index=https://download.pytorch.org/whl/cpu

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || {
    echo "Perceptio needs Python 3.11, 3.12 or 3.13; '$python' is $("$python" -V 2>&1). Try: make PYTHON=python3.12" >&2
    exit 1
}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"

# PyPI's torch for Linux brings CUDA (3 GB). Where pip has no index of its own configured, add the CPU builds.
index=
if [ -z "${PIP_INDEX_URL:-}${PIP_EXTRA_INDEX_URL:-}" ] && ! "$venv/bin/pip" config list | grep -q 'index-url='; then
    index="--extra-index-url $torch_cpu_index"
fi
# One command, so that pip resolves the pinned CPU torch together with everything else.
# shellcheck disable=SC2086  # $index is two words or none
"$venv/bin/pip" install --quiet --disable-pip-version-check $index -r requirements/cpu.txt -e '.[dev]'
