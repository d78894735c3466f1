#!/bin/sh
# Installs the programs that some tests use as independent peers (Debian, Ubuntu). Without them those tests are skipped.
set -eu
packages="aria2 p7zip-full bzip2 chromium transmission-cli python3-libtorrent"
# Clients of the matrix, what they talk to, and the network that Transmission needs, which refuses peers on loopback.
packages="$packages qbittorrent-nox transmission-daemon rtorrent mktorrent nginx-light opentracker iproute2"
missing=""
for package in $packages; do
  dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q
# Some of them are services; none may start, now or at the next start of the machine. Debian asks this file first.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '$sudo rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
  $sudo chmod 755 "$policy"
fi
# shellcheck disable=SC2086 # a list of words
$sudo apt-get install -y -q --no-install-recommends $missing
if command -v systemctl >/dev/null 2>&1; then
  for service in nginx opentracker transmission-daemon; do
    case "$missing " in *" $service "* | *" $service-light "*) $sudo systemctl disable "$service" || true ;; esac
  done
fi
