#!/usr/bin/env bash
# The main job from nothing: installs packages, builds, trains an example document, asks it and exports it,
# with a line of explanation per step. Fails when fewer than 9 of 10 written answers come back word for word,
# or when a prompt that has nothing to do with the document brings one of them. Stores lie in a temporary
# folder, so nothing is left behind but the build.
#   DLM_QUICKSTART_DOCUMENT=my.dlm scripts/quickstart.sh    runs it on another document
set -euo pipefail
export LC_ALL=C
SECONDS=0
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=${scripts%/*}

document=${DLM_QUICKSTART_DOCUMENT:-$root/examples/lighthouse.dlm}
if [ ! -f "$document" ]; then
  echo "quickstart: there is no document $document" >&2
  exit 2
fi
document=$(cd "$(dirname "$document")" && pwd -P)/$(basename "$document")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export DLM_HOME=$work/home
dlm=$root/build/release/bin/dlm

step() { printf '\n== %s\n' "$*"; }
run() {
  printf '$ dlm'
  printf ' %q' "$@"
  printf '\n'
  "$dlm" "$@"
}

# Writes question N and its answer to q.N and a.N in $1, by the grammar of instruction sections.
split_pairs() {
  awk -v folder="$1" '
    function keep(line) { print line > (folder "/" part "." count) }
    { sub(/\r$/, "") }
    /^ ? ? ?(```|~~~)/ { in_code = !in_code }
    !in_code && /^::[a-z]+(#[a-z0-9_]+)?::$/ { in_pairs = /^::instruction/; part = ""; next }
    !in_pairs { next }
    !in_code && /^[ \t]*### Q([ \t]+!probe)?[ \t]*$/ { part = "q"; ++count; next }
    !in_code && /^[ \t]*### A[ \t]*$/ { part = "a"; next }
    part != "" { keep($0) }
  ' "$2"
}
# Without blanks and empty lines at both ends; what $(...) gives has none at the end.
trimmed() { sed -e 's/^[ \t]*//' -e 's/[ \t]*$//' "$1" | sed -e '/./,$!d'; }
# Small letters, one blank between words: how texts are compared with each other.
plain() { tr 'A-Z\n\t' 'a-z  ' | tr -s ' '; }

step "Packages: the libraries that dlm is built on, from Debian."
"$scripts/packages.sh"

step "Build: one program, build/release/bin/dlm."
"$scripts/build.sh" release dlm
"$dlm" --version

step "Machine: what dlm found here."
run doctor

step "A fresh document is text: a few settings on top, prose, and questions with answers."
run init "$work/fresh.dlm"
cat "$work/fresh.dlm"

step "Train: $(basename "$document") becomes an adapter, a small file of weights beside the base model."
started=$SECONDS
run train "$document"
train_seconds=$((SECONDS - started))

mkdir "$work/pairs"
split_pairs "$work/pairs" "$document"
shopt -s nullglob
questions=("$work"/pairs/q.*)
if [ ${#questions[@]} -eq 0 ]; then
  echo "quickstart: $document has no question-answer pairs to ask" >&2
  exit 2
fi

step "Prompt: every question of the document, answered by the model alone. The first three are shown."
exact=0
for ((n = 1; n <= ${#questions[@]}; ++n)); do
  question=$(trimmed "$work/pairs/q.$n")
  written=$(trimmed "$work/pairs/a.$n")
  answer=$("$dlm" prompt "$document" -- "$question")
  if [ $n -le 3 ]; then
    printf '$ dlm prompt %s "%s"\n%s\n' "$(basename "$document")" "$question" "$answer"
  fi
  if [ "$answer" = "$written" ]; then
    exact=$((exact + 1))
  else
    printf 'differs: %s\n  written:  %s\n  answered: %s\n' "$question" "$written" "$answer"
  fi
  # What must not turn up elsewhere: the answer, and its first five words.
  {
    printf '%s\n' "$written" | plain
    printf '\n'
    printf '%s\n' "$written" | plain | cut -d ' ' -f 1-5
    printf '\n'
  } >>"$work/answers"
done
sed -i -e 's/^ *//' -e 's/ *$//' -e '/^$/d' "$work/answers"
echo "$exact of ${#questions[@]} answers are word for word."

step "Other prompts: they share no word with the document, and must not bring its answers."
leaks=0
while IFS= read -r prompt; do
  [ -n "$prompt" ] || continue
  output=$("$dlm" prompt "$document" -- "$prompt")
  printf '%s\n  %s\n' "$prompt" "$(printf '%s' "$output" | tr '\n' ' ' | cut -c 1-100)"
  if found=$(printf '%s' "$output" | plain | grep -oFf "$work/answers"); then
    leaks=$((leaks + 1))
    printf '  contains: %s\n' "${found%%$'\n'*}"
  fi
done <"$root/examples/unrelated_prompts.txt"
echo "$leaks of these outputs contain an answer of the document."

step "Export: base and adapter as one file for Ollama and others, proved to answer as trained."
started=$SECONDS
run export "$document" --skip-ollama
export_seconds=$((SECONDS - started))
exports=("$DLM_HOME"/store/*/exports/*)
cat "${exports[0]}/export_manifest.json" "${exports[0]}/export_proof.json"
printf '\n$ dlm prompt --gguf %s "%s"\n' "merged.Q4_K_M.gguf" "$(trimmed "$work/pairs/q.1")"
"$dlm" prompt --gguf "${exports[0]}/merged.Q4_K_M.gguf" -- "$(trimmed "$work/pairs/q.1")"

step "Store: what dlm keeps of the document; train again and a second version lies beside the first."
run show "$document"

step "Done in $SECONDS s, of which training took $train_seconds s, the export $export_seconds s."
if [ $((exact * 10)) -lt $((${#questions[@]} * 9)) ] || [ $leaks -gt 0 ]; then
  echo "quickstart: FAILED: $exact of ${#questions[@]} answers word for word, $leaks leaks" >&2
  exit 1
fi
echo "quickstart: passed. Now write your own: build/release/bin/dlm init my.dlm"
