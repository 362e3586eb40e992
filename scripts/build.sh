#!/usr/bin/env bash
# build.sh [PRESET [TARGET...]]: configures and builds one preset (release unless named) into build/PRESET,
# all of it or the named targets. A build folder that an
# older or moved checkout left behind is made anew when it no longer configures.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=${1:-release}
folder=build/$preset
made_for=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$folder/CMakeCache.txt" 2>/dev/null || true)
if [ -e "$folder" ] && ! [ "$made_for" -ef . ]; then
  echo "build: $folder is of another checkout, starting over"
  rm -rf "$folder"
fi
if ! cmake --preset "$preset" >/dev/null; then
  # At fault is the folder when a new one configures; else what stands above is for the reader.
  trial=$folder.trial
  rm -rf "$trial"
  cmake --preset "$preset" -B "$trial" >/dev/null 2>&1 || { rm -rf "$trial"; exit 1; }
  echo "build: $folder does not configure, starting over"
  rm -rf "$trial" "$folder"
  cmake --preset "$preset" >/dev/null
fi
targets=("${@:2}")
cmake --build "$folder" --parallel "$(nproc)" ${targets[@]:+--target "${targets[@]}"}
