#!/bin/sh
# Fetch the Debian packages that `perceptio scenes assets` reads, and unpack them into DIR; nothing is installed.
# Needs apt-get and dpkg, a network and about 6 GB; no root. Packages that the mirror lacks are named at the end.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: sh scripts/fetch_assets.sh DIR" >&2
    exit 2
fi
for tool in apt-get dpkg; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: this needs Debian or Ubuntu" >&2; exit 1; }
done

mkdir -p "$1/archives"
cd "$1/archives"
missing=""
for package in sweethome3d-furniture supertuxkart-data mypaint-data 0ad-data; do
    if ! ls "${package}"_*.deb >/dev/null 2>&1; then
        apt-get download "$package" || { missing="$missing $package"; continue; }
    fi
    dpkg -x "${package}"_*.deb ..
    echo "$package is in $(cd .. && pwd)"
done
if [ -n "$missing" ]; then
    echo "not fetched:$missing (root may have to run apt-get update once, or to enable Debian's main component)" >&2
    exit 1
fi
