#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test. Tests on outside data run when DLM_TEST_DATA
# names a folder of it, and say that they are skipped otherwise.
set -euo pipefail
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)

# Tests do not run in this folder, so a relative path must not reach them as it is.
if [ -n "${DLM_TEST_DATA:-}" ]; then
  if [ ! -d "$DLM_TEST_DATA" ]; then
    echo "test: DLM_TEST_DATA is no folder: $DLM_TEST_DATA" >&2
    exit 2
  fi
  DLM_TEST_DATA=$(cd "$DLM_TEST_DATA" && pwd -P)
  export DLM_TEST_DATA
fi
# A test must not find the stores and bases of the person who runs it.
unset DLM_HOME DLM_BASES

"$scripts/packages.sh"
"$scripts/build.sh" release
exec ctest --test-dir "$scripts/../build/release" --output-on-failure --no-tests=error \
  --parallel "$(nproc)"
