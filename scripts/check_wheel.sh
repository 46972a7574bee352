#!/bin/sh
# check_wheel.sh [PYTHON]: build the wheel, install it into an empty environment and ask the shipped model one question.
set -eu
python=${1:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
image=$PWD/src/perceptio/assets/sample.png

"$python" -m venv "$work/build"
"$work/build/bin/pip" install --quiet build
"$work/build/bin/python" -m build --wheel --outdir "$work/dist" .
du -h "$work"/dist/*.whl

"$python" -m venv "$work/empty"
"$work/empty/bin/pip" install --quiet torch==2.13.0 "$work"/dist/*.whl
"$work/empty/bin/pip" check
cd "$work" # nothing of the checkout is on the path here
"$work/empty/bin/perceptio" --version
"$work/empty/bin/perceptio" ask "$image" "Segment the yellow cylinder." --seg on --depth on --out "$work/out"
test -s "$work/out/overlay.png" && test -s "$work/out/depth.png" && test -s "$work/out/answer.json"
