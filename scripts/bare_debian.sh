#!/usr/bin/env bash
# Runs a command of this checkout in a fresh clone inside an empty Debian 12 that has git and nothing else:
#   sudo scripts/bare_debian.sh scripts/quickstart.sh
# Needs root and debootstrap. Packages come from where this machine's apt gets them. The clone holds what
# is committed; the whole root is removed at the end.
set -euo pipefail
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

fail() {
  echo "bare_debian: $*" >&2
  exit 2
}
[ $# -gt 0 ] || fail "give a command, for example scripts/quickstart.sh"
[ "$(id -u)" -eq 0 ] || fail "run it as root"
command -v debootstrap >/dev/null || fail "install debootstrap"

# Archives of Debian 12 in this machine's configuration, the base archive first.
# shellcheck disable=SC2016  # apt fills these in
archives=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
  'Created-By: Packages' | awk '$2 ~ /^bookworm(-|$)/ && $3 == "main"' | sort -u -k 2)
mirror=$(awk '$2 == "bookworm" { print $1; exit }' <<<"$archives")
[ -n "$mirror" ] || fail "apt on this machine has no archive of bookworm"

root=$(mktemp -d /var/tmp/bare_debian.XXXXXX)
chmod 755 "$root"
# What is mounted below lives in a namespace of its own, so this removes nothing of the machine.
trap 'rm -rf "$root"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start=$SECONDS
echo "bare_debian: making a root from $mirror"
debootstrap --variant=minbase --include=git bookworm "$root" "$mirror" >"$root.log" 2>&1 ||
  { tail -n 20 "$root.log" >&2; rm -f "$root.log"; fail "debootstrap failed"; }
rm -f "$root.log"
awk '{ print "deb", $1, $2, $3 }' <<<"$archives" >"$root/etc/apt/sources.list"
apt-config dump Acquire >"$root/etc/apt/apt.conf.d/90machine"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
# Not in a minbase root, but archives behind https need it.
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
  mkdir -p "$root/etc/ssl/certs"
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
fi

[ -z "$(git -C "$checkout" -c safe.directory="$checkout" status --porcelain)" ] ||
  echo "bare_debian: the checkout has changes that are not committed; they are left out"
git -C "$checkout" -c safe.directory="$checkout" bundle create --quiet "$root/root/dlm.bundle" HEAD
echo "bare_debian: root made in $((SECONDS - start)) s; running $*"

start=$SECONDS
status=0
# shellcheck disable=SC2016  # for the inner shells
unshare --mount --pid --fork --kill-child --propagation private bash -c '
  root=$1
  shift
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  exec chroot "$root" /usr/bin/env --ignore-environment HOME=/root TERM=dumb LC_ALL=C \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    bash -euc "cd /root; git clone --quiet dlm.bundle dlm; cd dlm; exec \"\$@\"" bash "$@"
' bash "$root" "$@" </dev/null || status=$?
echo "bare_debian: $* ended with status $status after $((SECONDS - start)) s"
exit $status
