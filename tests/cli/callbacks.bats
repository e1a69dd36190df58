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
