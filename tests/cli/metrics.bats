#!/usr/bin/env bats
# Metrics that a model is compiled with: where they are told, and which are refused.
load helper

# compiled JSON: the metrics of model.h5, whose training_config has room for about a hundred letters.
compiled() {
    local old new
    old='"metrics": null, "weighted_metrics": null, "run_eagerly": false, "steps_per_execution": 1, "jit_compile": false,'
    new=$(printf '%-*s' ${#old} "\"metrics\": $1,")
    [ ${#new} -eq ${#old} ] || { echo "too long" && return 1; }
    LC_ALL=C sed -i "s/$old/$new/" model.h5
}

@test "a metric that is not known is refused with the nearest one" {
    fixture regress
    compiled '["mean_squarred_error"]'
    both 1 "metrics of output.*'mean_squarred_error' is not known; the nearest one is 'MeanSquaredError'" \
        eval model.h5 --data data.h5
}

@test "what a metric cannot obey is refused with its key" {
    fixture regress
    compiled '[{"class_name": "F1Score", "config": {"beta": 2.0}}]'
    both 1 "metric 'F1Score' beside loss mean_squared_error: key 'beta' is not known" model.h5 --data data.h5
}

@test "eval tells metrics by name, the same on 1, 2 and 4 ranks" {
    fixture regress
    compiled '["mae", {"class_name": "R2Score", "config": {"name": "fit"}}]'
    ranks 1 eval model.h5 --data data.h5 >one
    grep -q '^  *mae [0-9.]*[0-9]$' one
    grep -q '^  *fit [-0-9.]*[0-9]$' one
    for n in 2 4; do
        ranks $n eval model.h5 --data data.h5 >other
        [ "$(grep -v samples other)" = "$(grep -v samples one)" ]
    done
}

@test "progress, logs and --json tell metrics by name" {
    fixture regress
    compiled '["mae", {"class_name": "R2Score", "config": {"class_aggregation": null}}]'
    ranks 2 model.h5 --data data.h5 --val data.h5 --epochs 1 --run a.run 2>log
    grep -q 'step .*  mae [0-9.]*  r2_score' log
    grep -q 'validation loss .*  mae [0-9.]*  r2_score' log
    grep -q '"split": "train", .*"mae": [0-9.]*, "r2_score": \[' a.run/metrics.jsonl
    grep -q '"split": "val", .*"mae": [0-9.]*, "r2_score": \[' a.run/metrics.jsonl
    ranks 2 model.h5 --data data.h5 --epochs 1 --run b.run --json | grep '"event":"step"' | tail -n 1 >steps
    grep -q '"metrics":{"mae":[0-9.]*,"r2_score":\[' steps
    ranks 1 eval model.h5 --data data.h5 --json | grep -q '"metrics":{"mae":[0-9.]*,"r2_score":\['
}

@test "a metric that is named as something else in a line keeps apart from it" {
    fixture regress
    compiled '[{"class_name": "MeanAbsoluteError", "config": {"name": "lr"}}]'
    ranks 1 model.h5 --data data.h5 --steps 1 --quiet --run a.run
    grep -q '"metric/lr": [0-9.]*, "lr": [0-9.]*' a.run/metrics.jsonl
}

@test "over an epoch training metrics are those of all its steps, and begin anew" {
    fixture regress
    compiled '["mse"]'
    ranks 2 model.h5 --data data.h5 --lr 0 --epochs 2 --no-shuffle --batch 8 --quiet --run a.run
    ranks 1 eval model.h5 --data data.h5 --batch 8 >whole
    whole=$(sed -n 's/^  *mse //p' whole)
    steps=$(($(field step a.run/metrics.jsonl) / 2))
    for last in $steps $((2 * steps)); do
        of=$(sed -n "s/^{\"step\": $last, .*\"mse\": \([^,]*\),.*/\1/p" a.run/metrics.jsonl)
        echo "$last: $of, $whole"
        awk -v a="$of" -v b="$whole" 'BEGIN { exit !(a - b < 1e-8 * b && b - a < 1e-8 * b) }'
    done
}

@test "training metrics are the same on any layout" {
    fixture regress
    compiled '["rmse", {"class_name": "PearsonCorrelation", "config": {"axis": 1}}]'
    refused 1 "'rmse' is not known" 1 model.h5 --data data.h5
    fixture regress
    compiled '["logcosh", {"class_name": "PearsonCorrelation", "config": {"axis": 1}}]'
    options='--data data.h5 --steps 6 --replicas 2 --micro-batch 4 --batch 16 --quiet'
    ranks 1 model.h5 $options --run a.run
    ranks 2 model.h5 $options --stages 2 --run b.run
    ranks 4 model.h5 $options --stages 2 --schedule gpipe --run c.run
    for run in a b c; do
        grep -o '"step": [0-9]*\|"logcosh": [^,]*\|"pearson_correlation": [^,]*' $run.run/metrics.jsonl >$run
    done
    [ "$(wc -l <a)" -eq 18 ]
    cmp a b
    cmp a c
}

@test "a run that goes on inside an epoch has the metrics of the whole epoch" {
    fixture regress
    compiled '["mse", {"class_name": "AUC", "config": {"num_thresholds": 9}}]'
    options='--data data.h5 --no-shuffle --batch 16 --micro-batch 4 --replicas 2 --epochs 1 --quiet'
    ranks 1 model.h5 $options --run whole.run
    ranks 1 model.h5 ${options/--epochs 1/--steps 7} --run parts.run
    ranks 2 model.h5 $options --run parts.run
    for run in whole parts; do
        grep -o '"step": [0-9]*\|"mse": [^,]*\|"auc": [^,]*' $run.run/metrics.jsonl >$run
    done
    [ "$(wc -l <whole)" -ge 60 ]
    cmp whole parts
}
