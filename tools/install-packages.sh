#!/bin/sh
# install-packages.sh build|test: installs the Debian packages of packages.txt that are missing.
set -eu
here=$(dirname "$0")
case ${1:-} in
  build) wanted=$(sed '/^# tests/,$d; /^#/d' "$here/packages.txt") ;;
  test) wanted=$(sed '/^#/d' "$here/packages.txt") ;;
  *) echo "usage: $0 build|test" >&2; exit 2 ;;
esac
missing=
for p in $wanted; do
  dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
command -v apt-get >/dev/null || { echo "please install by hand:$missing" >&2; exit 1; }
sudo=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "as root: apt-get install$missing" >&2; exit 1; }
  sudo=sudo
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
