#!/usr/bin/env bash
# Fetches a base from a hub on loopback with dlm and reads the cache with Hugging Face's own
# huggingface_hub, then the other way round. Says "skipped" where Python or that library is absent.
# PYTHON names the interpreter, BUILD the build folder, PYTHONPATH where the library lies.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
python=${PYTHON:-python3}
build=${BUILD:-$root/build/release}
repository=tiny-org/tiny-model
commit=0123456789abcdef0123456789abcdef01234567

if ! "$python" -c 'import huggingface_hub' 2>/dev/null; then
  echo "hub cache interop: skipped, $python has no huggingface_hub"
  exit 0
fi
[ -x "$build/bin/hub_server" ] || cmake --build "$build" --target hub_server dlm >/dev/null

work=$(mktemp -d)
trap 'exec 9>&-; rm -rf "$work"' EXIT
mkfifo "$work/keep"
"$build/bin/hub_server" "$root/assets/dlm-nano" "$repository" <"$work/keep" >"$work/url" &
exec 9>"$work/keep"
while [ ! -s "$work/url" ]; do sleep 0.1; done
endpoint=$(cat "$work/url")
unset HF_HUB_OFFLINE TRANSFORMERS_OFFLINE HF_TOKEN
export HF_ENDPOINT=$endpoint HF_HUB_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_XET=1 HF_HUB_DISABLE_PROGRESS_BARS=1

echo "1. dlm fetches, huggingface_hub reads without network"
HF_HOME=$work/ours "$build/bin/dlm" --quiet bases pull "hf:$repository"
HF_HOME=$work/ours HF_HUB_OFFLINE=1 "$python" - "$repository" "$root/assets/dlm-nano" <<'PYTHON'
import os, sys
from huggingface_hub import hf_hub_download, try_to_load_from_cache, scan_cache_dir, _CACHED_NO_EXIST
repository, source = sys.argv[1:]
for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
    path = hf_hub_download(repository, name)
    assert open(path, "rb").read() == open(os.path.join(source, name), "rb").read(), name
assert try_to_load_from_cache(repository, "vocab.json") is _CACHED_NO_EXIST
(repo,) = scan_cache_dir().repos
assert repo.repo_id == repository and not scan_cache_dir().warnings
(revision,) = repo.revisions
assert revision.refs == {"main"}
print("   read:", len(revision.files), "files at", revision.commit_hash[:7])
PYTHON

echo "2. huggingface_hub fetches, dlm uses and checks without network"
HF_HOME=$work/theirs "$python" - "$repository" <<'PYTHON'
import sys
from huggingface_hub import hf_hub_download
for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json",
             "model.safetensors"):
    try:
        hf_hub_download(sys.argv[1], name)
    except Exception as error:
        if name != "generation_config.json": raise
PYTHON
HF_HOME=$work/theirs HF_HUB_OFFLINE=1 "$build/bin/dlm" bases verify "hf:$repository"
HF_HOME=$work/theirs HF_HUB_OFFLINE=1 "$build/bin/dlm" bases pull "hf:$repository@$commit"

echo "3. each goes on where the other stopped"
half=$(ls -d "$work"/theirs/hub/models--*/blobs/* | while read -r f; do echo "$(stat -c %s "$f") $f"; done | sort -n | tail -1 | cut -d' ' -f2)
mkdir -p "$work/mixed/hub/models--tiny-org--tiny-model/blobs"
head -c 5000000 "$half" >"$work/mixed/hub/models--tiny-org--tiny-model/blobs/$(basename "$half").incomplete"
cp -r "$work/mixed" "$work/back"
HF_HOME=$work/back "$python" -c "
from huggingface_hub import hf_hub_download
hf_hub_download('$repository', 'model.safetensors')"
cmp "$half" "$work/back/hub/models--tiny-org--tiny-model/blobs/$(basename "$half")"
HF_HOME=$work/mixed "$build/bin/dlm" --quiet bases pull "hf:$repository"
HF_HOME=$work/mixed "$build/bin/dlm" bases verify "hf:$repository" >/dev/null
echo "hub cache interop: passed"
