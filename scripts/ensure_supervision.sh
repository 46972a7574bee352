#!/bin/sh
# ensure_supervision.sh VENV: supervision for one slow test, beside the environment: 400 MB that nothing else needs, and
# that would slow every import of transformers.
set -eu
venv=$1
[ -d "$venv/supervision" ] || "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
    --target "$venv/supervision" supervision==0.31.2 opencv-python-headless==5.0.0.93 av==18.1.0 defusedxml==0.7.1 \
    pyDeprecate==0.13.0 scipy==1.17.1
