#!/bin/sh
# What quantization costs: a Fashion-MNIST CNN over seeds, and a byte-level GPT on the King James text.
#
#     bench/quantized_loss.sh MBRUN PYTHON FOLDER [PART...]
#
# Parts: cnn, gpt. Trained models are kept in FOLDER and used again. The text is Debian's: bible -f -p /usr/lib
# Gen1:1-Rev22:21 (packages bible-kjv and bible-kjv-text); its last tenth is held out, the first half of that to
# calibrate and choose on, the second to judge. THREADS threads.
set -eu
mbrun=$1 python=$2 folder=$3
shift 3
parts=${*:-"cnn gpt"}
threads=${THREADS:-$(nproc)}
here=$(cd "$(dirname "$0")" && pwd)
images=${FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
mkdir -p "$folder"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# weights FILE: bytes of the tensors alone; score FILE DATA BATCH: loss and accuracy
evaluate() { "$mbrun" eval "$1" --data "$2" --batch "$3" --threads "$threads" --json; }

for part in $parts; do
    case $part in
    cnn)
        [ -e "$folder/train.h5" ] || "$mbrun" data "$images" -o "$folder/train.h5" >/dev/null
        [ -e "$folder/test.h5" ] || "$mbrun" data "$images:test" -o "$folder/test.h5" >/dev/null
        : >"$folder/cnn.lines"
        for seed in 1 2 3 4 5; do
            model=$folder/cnn$seed
            [ -e "$model.h5" ] || "$mbrun" new cnn -o "$model.h5" --seed "$seed" >/dev/null
            "$mbrun" train "$model.h5" --data "$folder/train.h5" --batch 128 --epochs 5 --seed "$seed" \
                --run "$model.run" --threads "$threads" --quiet >/dev/null
            "$mbrun" quantize "$model.run/final.h5" -o "$model-int8.h5" --format int8 --force --json >"$folder/report"
            evaluate "$model.run/final.h5" "$folder/test.h5" 128 >"$folder/before"
            evaluate "$model-int8.h5" "$folder/test.h5" 128 >"$folder/after"
            "$python" "$here/quantized_loss.py" cnn "$folder" "$seed" | tee -a "$folder/cnn.lines"
        done
        "$python" "$here/quantized_loss.py" median "$folder"
        ;;
    gpt)
        [ -e "$folder/kjv.txt" ] || bible -f -p /usr/lib Gen1:1-Rev22:21 >"$folder/kjv.txt"
        "$python" "$here/quantized_loss.py" split "$folder"
        for text in train choose unseen; do "$mbrun" data "$folder/$text.txt" -o "$folder/$text-tokens.h5" >/dev/null; done
        [ -e "$folder/gpt.h5" ] || "$mbrun" new gpt layers=4 width=256 heads=8 length=256 -o "$folder/gpt.h5" \
            --optimizer adamw:weight_decay=0.1,beta_2=0.95 --lr 1e-3 --lr-schedule cosine:steps=740,warmup=50 --clip 1.0 >/dev/null
        "$mbrun" train "$folder/gpt.h5" --data "$folder/train-tokens.h5" --batch 16 --steps 740 --run "$folder/gpt.run" \
            --threads "$threads" --quiet >/dev/null
        model=$folder/gpt.run/final.h5
        quantize() { "$mbrun" quantize "$model" --data "$folder/choose-tokens.h5" --threads "$threads" --force "$@"; }
        quantize -o "$folder/gpt-int8.h5" --format int8:block=32 >/dev/null
        quantize -o "$folder/gpt-nearest.h5" --format int4:block=32 --method nearest >/dev/null
        quantize -o "$folder/gpt-mse.h5" --format int4:block=32 --method mse >/dev/null
        quantize -o "$folder/gpt-awq.h5" --format int4:block=32 --method awq >/dev/null
        quantize -o "$folder/gpt-gptq.h5" --format int4:block=32 --method gptq >/dev/null
        quantize -o "$folder/gpt-drop.h5" --max-drop 1% >"$folder/drop.table"
        evaluate "$model" "$folder/unseen-tokens.h5" 16 >"$folder/before"
        for name in int8 nearest mse awq gptq drop; do
            evaluate "$folder/gpt-$name.h5" "$folder/unseen-tokens.h5" 16 >"$folder/after"
            "$python" "$here/quantized_loss.py" gpt "$folder" "$name"
        done
        ;;
    esac
done
