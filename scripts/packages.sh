#!/usr/bin/env bash
# Installs the Debian packages that building and testing dlm needs, those that are missing only.
# Runs as root or through sudo, asks nothing, and does nothing when all are there.
set -euo pipefail

packages=(
  g++ cmake ninja-build pkg-config
  libdnnl-dev             # matrix products
  ocl-icd-opencl-dev      # not used, but the CMake files of libdnnl-dev ask for it
  libcli11-dev            # command line
  nlohmann-json3-dev      # JSON
  libyaml-dev             # frontmatter
  libfmt-dev              # text
  libssl-dev              # SHA-256
  libpcre2-dev            # tokenizer patterns
  libutf8proc-dev         # Unicode normal forms
  libzstd-dev             # the replay corpus
  libcurl4-openssl-dev    # headers for downloading bases; libcurl itself is opened when it is needed
  libgtest-dev libgmock-dev
)

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "packages: all ${#packages[@]} are installed"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "packages: not root and no sudo; ask an administrator to install: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "packages: installing ${missing[*]}"
apt=(env DEBIAN_FRONTEND=noninteractive apt-get --quiet --quiet --option Dpkg::Use-Pty=0)
"${as_root[@]}" "${apt[@]}" update </dev/null ||
  echo "packages: apt-get update failed, trying with the lists that are here" >&2
"${as_root[@]}" "${apt[@]}" install --yes --no-install-recommends "${missing[@]}" </dev/null
