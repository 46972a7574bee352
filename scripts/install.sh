#!/bin/sh
# install.sh PYTHON VENV: make the virtual environment and install Perceptio into it, editable, with its tools.
set -eu
python=$1
venv=$2

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || {
    echo "Perceptio needs Python 3.11, 3.12 or 3.13; '$python' is $("$python" -V 2>&1). Try: make PYTHON=python3.12" >&2
    exit 1
}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"

# One command, so that pip resolves the pinned CPU torch together with everything else.
"$venv/bin/pip" install --quiet --disable-pip-version-check -r requirements/cpu.txt -e '.[dev]'

# The photographs of the tests, from two wheels. As packages these would slow every import of transformers.
[ -d "$venv/photographs" ] || "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
    --target "$venv/photographs" scikit-image==0.26.0 scikit-learn==1.9.1

# What makes packs of models, for its tests: it compiles, and without a compiler they are skipped.
if command -v g++ >/dev/null; then
    "$venv/bin/pip" install --quiet --disable-pip-version-check -e '.[assets]' ||
        echo "meshoptimizer does not compile here: the tests of scenes/assets/build.py are skipped" >&2
else
    echo "there is no g++ for meshoptimizer: the tests of scenes/assets/build.py are skipped" >&2
fi
