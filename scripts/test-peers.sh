#!/bin/sh
# Lets programs that are not ours read exported GGUF files: @huggingface/gguf, and real llama.cpp,
# whose greedy text must be the expected one. Needs node, npm and, at the first run, the network.
#   scripts/test-peers.sh MODEL.gguf PROMPT.txt EXPECTED.txt [ADAPTER.gguf]
# Says "skipped" where node or npm is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  echo "test-peers: skipped: node and npm are not here"
  exit 0
fi
if [ $# -lt 3 ]; then
  sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
model=$(realpath "$1") prompt=$(realpath "$2") expected=$(realpath "$3")
adapter=${4:+$(realpath "$4")}

peers=$here/../build/peers
if [ ! -d "$peers/node_modules/node-llama-cpp" ] || [ ! -d "$peers/node_modules/@huggingface/gguf" ]; then
  mkdir -p "$peers"
  (cd "$peers" && [ -f package.json ] || npm init -y >/dev/null
   cd "$peers" && NODE_LLAMA_CPP_SKIP_DOWNLOAD=true npm install --silent --ignore-scripts \
     node-llama-cpp@3.22.1 @huggingface/gguf)
  # Builds for graphics cards, 600 MB.
  rm -rf "$peers"/node_modules/@node-llama-cpp/*cuda* "$peers"/node_modules/@node-llama-cpp/*vulkan*
fi
cp "$here"/peers/*.mjs "$peers"
cd "$peers"
node read_gguf.mjs "$model" ${adapter:+"$adapter"}
node generate.mjs "$model" "$prompt" "$expected" ${adapter:+"$adapter"}
