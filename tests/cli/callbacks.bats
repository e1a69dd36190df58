#!/usr/bin/env bats
# Early stopping, lowering the rate, the best model, and when validation runs: the same on any layout and
# after any interruption.
load helper

watched="--lr 0.02 --val-split 25% --replicas 2 --micro-batch 8 --early-stop val_loss:patience=3,restore-best
    --reduce-lr-on-plateau val_loss:factor=0.5,patience=1 --save-best val_loss"

last_epoch() { # RUN
    field epoch "$1/metrics.jsonl"
}

@test "callbacks decide alike on any layout, and in a run that was interrupted" {
    fixture mlp
    ranks 1 model.h5 --data data.h5 --epochs 40 --quiet $watched --run a.run
    ranks 3 model.h5 --data data.h5 --epochs 40 --quiet $watched --stages 3 --run b.run
    for epochs in 1 2 5 7 40; do
        ranks $((epochs % 2 + 1)) model.h5 --data data.h5 --epochs $epochs --quiet $watched --run c.run
    done
    echo "ended after epoch $(last_epoch a.run)"
    [ "$(last_epoch a.run)" -gt 3 ] && [ "$(last_epoch a.run)" -lt 40 ]
    for file in final.h5 best.h5; do
        [ "$(digest a.run/$file)" = "$(digest b.run/$file)" ]
        [ "$(digest a.run/$file)" = "$(digest c.run/$file)" ]
    done
    [ "$(digest a.run/best.h5 | head -n 1)" = "$(digest a.run/final.h5 | head -n 1)" ]
    [ "$(field lr a.run/metrics.jsonl)" != 0.02 ] && grep -q '"lr": 0.00999999978,' a.run/metrics.jsonl
    last=$(digest a.run/final.h5)
    run -0 ranks 1 model.h5 --data data.h5 --epochs 40 $watched --run a.run
    [ "$(digest a.run/final.h5)" = "$last" ]
}

@test "what ended a run and what lowered its rate is said" {
    fixture mlp
    run -0 ranks 2 model.h5 --data data.h5 --epochs 40 $watched
    grep -q "'val_loss' has not improved on .* for 3 epochs: the run ends" <<<"$output"
    grep -q 'the learning rate is lowered to 0.0' <<<"$output"
}

@test "metrics of training are watched without validation" {
    fixture mlp
    ranks 2 model.h5 --data data.h5 --epochs 4 --quiet --save-best accuracy --early-stop loss:min-delta=100
    [ "$(last_epoch model.run)" -eq 2 ] && [ -s model.run/best.h5 ]
}

@test "metrics that the model asks for are watched by their names" {
    fixture regress
    old='"metrics": null, "weighted_metrics": null, "run_eagerly": false, "steps_per_execution": 1, "jit_compile": false,'
    LC_ALL=C sed -i "s/$old/$(printf '%-*s' ${#old} '"metrics": ["mae"],')/" model.h5
    ranks 2 model.h5 --data data.h5 --val data.h5 --epochs 4 --quiet --save-best mae --early-stop val_mae:min-delta=100
    [ "$(last_epoch model.run)" -eq 2 ] && [ -s model.run/best.h5 ]
    both 2 "there are loss, mae, val_loss, val_mae" model.h5 --data data.h5 --val data.h5 --run b.run \
        --early-stop val_mape:mode=min
}

@test "the last line tells the metrics by their names, those of validation too" {
    fixture regress
    old='"metrics": null, "weighted_metrics": null, "run_eagerly": false, "steps_per_execution": 1, "jit_compile": false,'
    LC_ALL=C sed -i "s/$old/$(printf '%-*s' ${#old} '"metrics": ["mae"],')/" model.h5
    ranks 2 model.h5 --data data.h5 --val data.h5 --epochs 1 --run a.run 2>/dev/null >out
    grep -qE '^done: .*, loss [0-9.]+, mae [0-9.]+, validation loss [0-9.]+, validation mae [0-9.]+$' out
    mae=$(field mae a.run/metrics.jsonl)
    grep -q ", validation mae $(awk -v x="$mae" 'BEGIN { printf "%.5g", x }')\$" out
    ranks 2 model.h5 --data data.h5 --val data.h5 --epochs 1 --run b.run --json | tail -n 1 >end
    grep -q '"metrics":{"mae":[0-9.]*},.*"validation_metrics":{"mae":[0-9.]*}' end
}

@test "a loss that is not finite ends the run at its step, on any layout, with the checkpoint before it" {
    fixture mlp
    for layout in "1" "2 --stages 2" "2 --stages 1"; do
        rm -rf model.run
        # shellcheck disable=SC2086
        set -- $layout
        ranks "$@" model.h5 --data data.h5 --replicas 2 --micro-batch 8 --checkpoint-every 1 --keep 1 --quiet \
            --optimizer sgd --lr 3e38 2>log && return 1
        echo "$layout: $(cat log)"
        grep -o 'step [0-9]* (epoch [0-9]*): the loss is .* on rank' log >>steps
        [ -s "model.run/step-$(printf %08d $(($(grep -o 'step [0-9]*' log | grep -o '[0-9]*') - 1))).h5" ]
        [ ! -e model.run/final.h5 ]
    done
    [ "$(wc -l <steps)" -eq 3 ] && [ "$(sort -u steps | wc -l)" -eq 1 ]
}

@test "weights that are not finite are written into no checkpoint" {
    fixture mlp
    both 1 "step 1 (epoch 1): after its update weight '.*' holds values that are not finite" model.h5 --data data.h5 \
        --checkpoint-every 1 --optimizer sgd --lr 1e38 --class-weight 0=1e6,1=1e6,2=1e6,3=1e6 --restart
    [ -z "$(ls model.run | grep '[.]h5$')" ]
}

@test "a run may go on where the loss is not finite" {
    fixture mlp
    run -0 ranks 2 model.h5 --data data.h5 --epochs 1 --optimizer sgd --lr 3e38 --on-nan go-on \
        --early-stop loss --save-best loss
    [ "$(grep -c 'the loss is .*, and the run goes on' <<<"$output")" -eq 1 ]
    [ -s model.run/final.h5 ]
    both 2 "on-nan: 'never' is not stop, skip or go-on" model.h5 --data data.h5 --on-nan never
}

@test "validation every so often" {
    fixture mlp
    ranks 2 model.h5 --data data.h5 --epochs 4 --quiet --val data.h5 --val-every 2epochs
    [ "$(grep -c '"split": "val"' model.run/metrics.jsonl)" -eq 2 ]
    ranks 2 model.h5 --data data.h5 --steps 7 --quiet --val data.h5 --val-every 3 --run b.run
    [ "$(grep '"split": "val"' b.run/metrics.jsonl | grep -c '"step": [36],')" -eq 2 ]
    ranks 2 model.h5 --data data.h5 --epochs 1 --quiet --val data.h5 --val-every never --run c.run
    ! grep -q '"split": "val"' c.run/metrics.jsonl
}

@test "what cannot be watched is refused" {
    fixture mlp
    both 2 'no validation data' model.h5 --data data.h5 --early-stop val_loss
    refused 2 "no 'patiense'" 1 model.h5 --data data.h5 --early-stop loss:patiense=3
    refused 2 'val-every' 1 model.h5 --data data.h5 --val data.h5 --val-every 10min
    both 2 "no metric 'mse' to watch; there are loss, accuracy" model.h5 --data data.h5 --early-stop mse
    refused 2 'follows a schedule' 1 model.h5 --data data.h5 --lr-schedule cosine:steps=10 \
        --reduce-lr-on-plateau loss
}
