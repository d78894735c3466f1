#!/bin/sh
# Installs the programs that some tests use as independent peers (Debian, Ubuntu). Without them those tests are skipped.
set -eu
packages="aria2 p7zip-full bzip2 chromium transmission-cli python3-libtorrent"
missing=""
for package in $packages; do
  dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q
# shellcheck disable=SC2086 # a list of words
$sudo apt-get install -y -q --no-install-recommends $missing
