#!/bin/bash
# Times `dlm show` on a source tree of 50,000 files (about 200 MB): once with every file read, then
# with the index of the store. Usage: bench/sources.sh build/bin/dlm [FOLDER]
set -eu
dlm=$(realpath "$1")
work=${2:-$(mktemp -d)}
mkdir -p "$work/src"
[ -d "$work/src/d49" ] || python3 - "$work/src" <<'PYTHON'
import os, random, sys
random.seed(1)
words = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(2, 9)))
         for _ in range(3000)]
lines = ['    %s = %s(%s, "%s")  # %s\n' % (*random.choices(words, k=4),
                                             " ".join(random.choices(words, k=6)))
         for _ in range(400)]
for i in range(50000):
    folder = os.path.join(sys.argv[1], "d%02d" % (i // 1000), "s%02d" % (i // 50 % 20))
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "f%02d.py" % (i % 50)), "w") as file:
        file.write("".join(random.choices(lines, k=random.randint(10, 100))))
PYTHON
export DLM_HOME="$work/home"
[ -f "$work/doc.dlm" ] || {
  "$dlm" -q init "$work/doc.dlm"
  sed -i '0,/^base_model/s/^base_model/training:\n  sources:\n    - path: src\nbase_model/' \
    "$work/doc.dlm"
}
rm -f "$work"/home/store/*/cache/source-index.bin
for run in "every file read" "unchanged" "unchanged"; do
  echo "$run:"
  time -p "$dlm" show "$work/doc.dlm" | grep '^source'
done
