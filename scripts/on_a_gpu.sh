#!/usr/bin/env bash
# On a machine with an NVIDIA GPU, one command: install, verify, measure; reports in benchmarks/results/gpu-*.json.
#
#   scripts/on_a_gpu.sh [DEVICE ...]                  default: cuda tensorrt ort-tensorrt tensorrt-rtx
#   INSTALL=0 PYTHON=.venv/bin/python scripts/on_a_gpu.sh cuda     with what is installed there already
#
# Also: MODELS (embedded names or folders), BATCHES, STREAMS, REPEATS, RESULTS (a folder), HEAVY=0 (no 5 x ResNet-50),
# CLIP (empty: networks only). Each device has an environment of its own, .venv-gpu-DEVICE: ONNX Runtime's two builds overwrite each other.
# A device that cannot be used is skipped, and the reason is said. Exit code 1 where a network answers wrongly.
set -uo pipefail
cd "$(dirname "$0")/.."
root=$PWD
devices=("$@")
[ ${#devices[@]} -gt 0 ] || devices=(cuda tensorrt ort-tensorrt tensorrt-rtx)
read -r -a models <<<"${MODELS:-lite lite-ensemble lite-int8 lite-temporal}"
read -r -a batches <<<"${BATCHES:-1 8 32 128 512 1024}"
read -r -a streams <<<"${STREAMS:-1 2 4 8}"
results=${RESULTS:-$root/benchmarks/results}
clip=${CLIP-$root/samples/astronaut.mp4}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$results"
failed=0

say() { printf '== %s\n' "$*"; }

extras_of() { # what a device is installed with
    case ${1%%:*} in
    cuda) echo ".[gpu]" ;;
    ort-tensorrt) echo ".[gpu] tensorrt-cu13<11" ;;
    tensorrt) echo ".[cpu,tensorrt]" ;;
    *) echo ".[cpu,${1%%:*}]" ;;
    esac
}

python_of() { # an interpreter with affectkit for a device
    if [ "${INSTALL:-1}" = 0 ]; then
        echo "${PYTHON:-python3}"
        return
    fi
    local folder="$root/.venv-gpu-${1%%:*}"
    [ -x "$folder/bin/python" ] || "${PYTHON:-python3}" -m venv "$folder" >&2 || return 1
    local wanted
    read -r -a wanted <<<"$(extras_of "$1")"
    "$folder/bin/python" -m pip install -q "${wanted[@]}" >&2 || return 1
    echo "$folder/bin/python"
}

usable() { # why a device cannot be used, on standard output; nothing where it can
    "$1" -P - "$2" <<'PY' 2>&1
import sys
from affectkit.engines import open_engine
from affectkit.errors import AffectKitError
from affectkit.faces.opening import WEIGHTS
try:
    open_engine(WEIGHTS / "rnet.onnx", device=sys.argv[1]).close()
except AffectKitError as error:
    print(str(error).splitlines()[0])
PY
}

further_models() { # float16 copies, and five untrained ResNet-50 in one graph, where the extra `export` is installed
    "$1" -P -c "import torch, onnx, onnxscript" 2>/dev/null || {
        say "float16 and 5 x ResNet-50 skipped: they need the extra export (pip install '.[export]')"
        return
    }
    for model in "${models[@]}"; do
        case $model in *-int8 | *-temporal) continue ;; esac
        local half="$work/$(basename "$model")-fp16"
        [ -d "$half" ] || "$1" -P -m affectkit export "$model" -o "$half" --precision fp16 >/dev/null 2>&1 ||
            say "no float16 copy of $model could be made"
        [ -d "$half" ] && more+=("$half")
    done
    [ "${HEAVY:-1}" = 0 ] && return
    [ -d "$work/five-resnet50" ] || "$1" -P - "$work/five-resnet50" <<'PY' >/dev/null 2>&1 || say "no 5 x ResNet-50 could be made"
import sys
from pathlib import Path
from affectkit.export.to_onnx import write_model_folder
from affectkit.spec import ModelSpec
from affectkit.train.config import input_spec_of
from affectkit.train.networks import CONFIGS, FEATURE_WIDTH, MultitaskCNN
members = [MultitaskCNN(CONFIGS["resnet50"]) for _ in range(5)]
units = len(members[0].config.labels.action_units)
spec = ModelSpec(name="five-resnet50", version="1", licence="none: untrained", trained_on=(),
                 input=input_spec_of(members[0].config), au_thresholds=(0.5,) * units, au_thresholds_from="untrained",
                 members=5, feature_width=FEATURE_WIDTH)
write_model_folder(members, spec, Path(sys.argv[1]), card="Untrained, for timing.")
PY
    [ -d "$work/five-resnet50" ] && more+=("$work/five-resnet50")
}

for device in "${devices[@]}"; do
    if ! python=$(python_of "$device"); then
        say "$device: skipped, it could not be installed ($(extras_of "$device"))"
        continue
    fi
    reason=$(usable "$python" "$device")
    if [ -n "$reason" ]; then
        say "$device: skipped, $reason"
        continue
    fi
    more=()
    further_models "$python"
    for model in "${models[@]}" ${more[@]+"${more[@]}"}; do
        name=$(basename "$model")
        say "$device: $name"
        if ! "$python" -P -m affectkit verify "$model" --device "$device"; then
            failed=1
            say "$device: $name FAILED, and is not measured"
            continue
        fi
        what=(--what network)
        for batch in "${batches[@]}"; do what+=(--batch "$batch"); done
        case "$clip:$name" in
        :* | *:five-* | *:*-temporal) ;;
        *)
            what+=("$clip" --what video --what streams)
            for count in "${streams[@]}"; do what+=(--streams "$count"); done
            ;;
        esac
        "$python" -P -m affectkit benchmark --model "$model" --device "$device" --threads 1 --repeats "${REPEATS:-5}" \
            "${what[@]}" -o "$results/gpu-${device%%:*}-$name.json" || say "$device: $name could not be measured"
    done
done
exit $failed
