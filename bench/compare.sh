#!/bin/sh
# Compares a training step of dlm with one of transformers + PEFT, in turn on the same machine:
#   bench/compare.sh [PROGRAM] [ROUNDS]
# PROGRAM is the dlm to measure (default build/release/bin/dlm). The peer needs a Python with torch,
# transformers and peft: name it in PYTHON. Without them the peer is skipped, and said to be.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
program=${1:-$here/../build/release/bin/dlm}
rounds=${2:-3}
python=${PYTHON:-python3}
# Without such instructions torch takes minutes for a step in bf16.
types=fp32
if grep -q -E 'avx512_bf16|amx_bf16' /proc/cpuinfo; then types='bf16 fp32'; fi

for round in $(seq "$rounds"); do
  echo "round $round"
  "$program" doctor --bench --base smollm2-135m --json |
    grep -E '"(train_tokens_per_s|train_share_of_roof|gemm_roof_gflops|peak_rss_mb)": [0-9]' | sed 's/^ */  dlm  /'
  for dtype in $types; do
    status=0
    line=$("$python" "$here/peer/transformers_step.py" --dtype "$dtype" --threads "$(nproc)") || status=$?
    if [ "$status" -eq 77 ]; then
      echo "  peer skipped: no torch, transformers or peft for $python"
      break
    fi
    [ "$status" -eq 0 ] || exit "$status"
    echo "  peer $line"
  done
done
