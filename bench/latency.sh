#!/bin/sh
# One sample a call through small MLPs, beside ONNX Runtime by its C API, with one thread each:
#
#     latency.sh MBRUN LATENCY PYTHON [CALLS]
#
# LATENCY is the program (make bench/latency); PYTHON has numpy, h5py, onnx and onnxruntime. MB_RUN is a
# prefix for what is measured ("chrt -f 1").
set -eu
mbrun=$1 latency=$2 python=$3 calls=${4:-100000}
work=$(mktemp -d "${TMPDIR:-/tmp}/mb-latency.XXXXXX")
trap 'rm -rf "$work"' EXIT
library=$("$python" - <<'PY'
import glob, os, onnxruntime
print(glob.glob(os.path.join(os.path.dirname(onnxruntime.__file__), "capi", "libonnxruntime.so*"))[0])
PY
)

to_onnx() {
    "$python" - "$1" "$2" <<'PY'
import sys, h5py, numpy, onnx
from onnx import helper, numpy_helper, TensorProto
file = h5py.File(sys.argv[1], "r")["model_weights"]
found = {}
file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
text = lambda name: name.decode() if isinstance(name, bytes) else name
layers = []
for layer in file.attrs["layer_names"]:
    group = file[text(layer)]
    weights = [group[text(name)][()] for name in group.attrs["weight_names"]]
    if weights:
        layers.append(weights)
nodes, constants, at = [], [], "x"
for i, (kernel, bias) in enumerate(layers):
    last = i + 1 == len(layers)
    constants += [numpy_helper.from_array(kernel.astype(numpy.float32), f"w{i}"),
                  numpy_helper.from_array(bias.astype(numpy.float32), f"b{i}")]
    to = "y" if last else f"z{i}"
    nodes.append(helper.make_node("Gemm", [at, f"w{i}", f"b{i}"], [to]))
    if not last:
        nodes.append(helper.make_node("Relu", [to], [f"h{i}"]))
    at = f"h{i}"
value = lambda name, n: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n])
graph = helper.make_graph(nodes, "mlp", [value("x", layers[0][0].shape[0])],
                          [value("y", layers[-1][0].shape[1])], constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
model.ir_version = 8
onnx.save(model, sys.argv[2])
PY
}

one() {
    input=$1 hidden=$2 classes=$3
    "$mbrun" new mlp --force -o "$work/m.h5" "input=$input" "hidden=$hidden" "classes=$classes" >/dev/null
    to_onnx "$work/m.h5" "$work/m.onnx"
    echo "input $input, hidden $hidden, output $classes"
    # shellcheck disable=SC2046,SC2086 # words
    ${MB_RUN:-} "$latency" "$work/m.h5" "$work/m.onnx" "$library" "$calls" "$input" \
        $(echo "$hidden" | tr , ' ') "$classes"
}

one 8 64,64 4
one 12 128,128 8
