#!/bin/bash
# The main job on a real model, step by step; `./dev demo` calls it with the model and a folder.
set -euo pipefail
model=$ENXUTO_DEMO_MODEL folder=$ENXUTO_DEMO_FOLDER
small=$folder/smollm2-small.gguf text=bench/demo.txt
budget=140MiB context=2048 size=82MB
mkdir -p "$folder"

show() { # what happens, then the command as a user would type it, then its output
  printf '\n\033[1m%s\033[0m\n' "$1" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9]*m//g'; fi
  shift
  local line="" word
  for word in "$@"; do
    case $word in *" "*) word="\"$word\"" ;; esac
    line+=" $word"
  done
  printf '$%s\n\n' "$(sed "s|$HOME|~|g; s|build/enxuto|enxuto|" <<<"$line")"
  "$@"
}
measure() { # MODEL NAME: the figures of the closing table
  build/enxuto eval "$1" $text --reference "$model" --json >"$folder/$2-eval.json"
  build/enxuto bench "$1" --prefill 128 --decode 64 --context $context --json >"$folder/$2-bench.json"
}

show "1. What the model is made of" build/enxuto inspect "$model"
show "2. What running it takes, and whether that fits into $budget" \
  build/enxuto plan "$model" --memory $budget --context $context || [ $? = 4 ]
show "3. Compressing it to $size" build/enxuto compress "$model" -o "$small" --size $size --force
show "4. The same budget again" build/enxuto plan "$small" --memory $budget --context $context
show "5. How far it is from the original" build/enxuto eval "$small" $text --reference "$model"
show "6. A question to the compressed model" \
  build/enxuto run "$small" --chat -p "Explain in two sentences why the sky is blue." -n 80 --temp 0
printf '\n\nMeasuring both for the closing table...\n'
measure "$model" before
measure "$small" after
python3 bench/demo_table.py "$folder"
