#!/bin/sh
# Lets programs that are not ours read exported GGUF files: @huggingface/gguf, and real llama.cpp,
# whose greedy text must be the expected one. Needs node, npm and, at the first run, the network.
#   scripts/test-peers.sh                   trains the example of the quickstart and checks its exports
#   scripts/test-peers.sh MODEL.gguf PROMPT.txt EXPECTED.txt [ADAPTER.gguf]
# The program is build/release/bin/dlm, or $DLM. Says "skipped" where node or npm is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  echo "test-peers: skipped: node and npm are not here"
  exit 0
fi
if [ $# -ne 0 ] && [ $# -ne 3 ] && [ $# -ne 4 ]; then
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi

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

# MODEL PROMPT EXPECTED [ADAPTER], all of them absolute paths.
check() {
  (cd "$peers" && node read_gguf.mjs "$1" ${4:+"$4"} && node generate.mjs "$@")
}

if [ $# -gt 0 ]; then
  check "$(realpath "$1")" "$(realpath "$2")" "$(realpath "$3")" ${4:+"$(realpath "$4")"}
  exit
fi

dlm=${DLM:-$here/../build/release/bin/dlm}
document=$here/../examples/lighthouse.dlm
question='Where does the lighthouse stand?'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
DLM_HOME=$work/home
export DLM_HOME
"$dlm" --quiet train "$document" >/dev/null
printf '<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n' "$question" >"$work/prompt.txt"
for quant in Q4_K_M Q5_K_M Q6_K Q8_0 F16; do
  for form in --merged --adapter-form; do
    "$dlm" --quiet export "$document" --skip-ollama --quant "$quant" "$form"
    folder=$(ls -td "$DLM_HOME"/store/*/exports/"$quant"*/ | head -n 1)
    model=$(ls "$folder"*."$quant".gguf)
    if [ "$form" = --merged ]; then
      "$dlm" prompt --gguf "$model" -- "$question" >"$work/expected.txt"
      check "$model" "$work/prompt.txt" "$work/expected.txt"
    else
      "$dlm" prompt --gguf "$model" --lora "${folder}adapter.gguf" -- "$question" >"$work/expected.txt"
      check "$model" "$work/prompt.txt" "$work/expected.txt" "${folder}adapter.gguf"
      # Without the adapter it is the base. Nothing it says to a question that it never learned is
      # much likelier than the rest: in fewer bits any rounding decides.
      case $quant in Q8_0 | F16)
        "$dlm" prompt --gguf "$model" --max-tokens 16 -- "$question" >"$work/base.txt"
        check "$model" "$work/prompt.txt" "$work/base.txt" ;;
      esac
    fi
  done
done
echo "test-peers: passed: llama.cpp says what dlm says with every export"
