#!/bin/bash
# The plugin of examples/, built outside the tree from an installed mbrun alone: its layers, loss and source
# train to the same bits on any layout, in every command, and what is wrong with a plugin is said once.
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
count=0

result() { # STATUS NAME
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
    else
        echo "not ok $count - $2"
            grep -v '^--\|^mpirun\|^$' "$scratch/log" | tail -n 8 | cut -c 1-300 | sed 's/^/# /'
    fi
}

# The parts of `make install` that a plugin's user needs, in another place.
prefix=$scratch/root$(sed -n 's/^prefix=//p' "$MB_BUILDDIR/mb.pc")
config="pkg-config --define-variable=prefix=$prefix"
(cd "$MB_BUILDDIR" && make -s DESTDIR="$scratch/root" install-binPROGRAMS \
    install-mbincludeHEADERS install-mbpluginHEADERS install-pkgconfigDATA) >"$scratch/log" 2>&1
result $? "mbrun and its headers are installed elsewhere"
own=$scratch/own
cp -r "$MB_SRCDIR/examples/plugin" "$own" && chmod -R u+w "$own" && cd "$own" || exit 1
build() { # NAME: FILE.c to NAME.so
    # shellcheck disable=SC2046
    ${CC-cc} -fPIC -shared $($config --cflags mb) -o "$1.so" "$1.c" >"$scratch/log" 2>&1
}
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
make PKG_CONFIG="$config" CFLAGS="-O2 -Wall -Wextra -Werror" >"$scratch/log" 2>&1
result $? "the example builds outside the tree, without a warning"

mbrun=$prefix/bin/mbrun
options="--data train.wave --batch 32 --replicas 4 --micro-batch 8 --seed 3 --device cpu --threads 1 --quiet"
train() { # RANKS RUN MODEL OPTION...
    ranks=$1 run=$2 file=$3
    shift 3
    # shellcheck disable=SC2086
    $MPIEXEC -np "$ranks" "$mbrun" "$file" --plugin ./own.so $options --run "$run" "$@" >"$scratch/log" 2>&1
}
weights() {
    "$mbrun" inspect --digest "$1/final.h5" | sed -n 's/^weights *//p'
}

for model in model clipped; do
    train 1 one-$model $model.h5 --epochs 15
    result $? "$model.h5 trains on one rank"
    train 2 two-$model $model.h5 --epochs 15 --stages 2 --schedule gpipe &&
        [ -n "$(weights one-$model)" ] && [ "$(weights two-$model)" = "$(weights one-$model)" ]
    result $? "$model.h5 gives the same bits in two stages"
    train 4 four-$model $model.h5 --epochs 15 --stages 2 --threads 2 &&
        [ "$(weights four-$model)" = "$(weights one-$model)" ]
    result $? "$model.h5 gives the same bits in two stages of two groups"
done

value() { # FILE NAME: of an event
    sed -n "s/.*\"$2\": *\([0-9.e+-]*\).*/\1/p" "$1" | tail -n 1
}
loss_of() { # MODEL
    "$mbrun" eval "$1" --plugin own.so --data train.wave --device cpu --json >"$scratch/log" 2>&1 &&
        value "$scratch/log" loss
}
before=$(loss_of model.h5) after=$(loss_of one-model/final.h5)
awk "BEGIN { exit !($after > 0 && $after < 0.5 * $before) }"
result $? "it learns: eval gives $before before and $after after"
"$mbrun" predict one-clipped/final.h5 --plugin own.so --data train.wave --device cpu -o out.h5 >"$scratch/log" 2>&1 &&
    [ -s out.h5 ]
result $? "predict takes it"
"$mbrun" convert model.h5 --plugin own.so -o model.keras >"$scratch/log" 2>&1 &&
    train 1 archive model.keras --epochs 1 && train 1 hdf5 model.h5 --epochs 1 &&
    [ "$(weights archive)" = "$(weights hdf5)" ]
result $? "a .keras archive of the model trains to the same bits"
train 1 narrow model.h5 --epochs 2 --dtype bf16 --emulate --loss mse
result $? "layers compute in bfloat16"
train 1 alias model.h5 --epochs 2 --loss pinball:tau=0.4 && train 1 file model.h5 --epochs 2 &&
    [ "$(weights alias)" = "$(weights file)" ]
result $? "--loss names it as it names the built-in ones"

# What is wrong, said once by two ranks together.
refused() { # NAME PATTERN MODEL OPTION...
    name=$1 pattern=$2 file=$3
    shift 3
    # shellcheck disable=SC2086
    $MPIEXEC -np 2 "$mbrun" "$file" $options "$@" >"$scratch/log" 2>&1
    status=$?
    [ $status -ne 0 ] && [ "$(grep -c 'mbrun: error' "$scratch/log")" -eq 1 ] &&
        grep -q "$pattern" "$scratch/log"
    result $? "$name"
}
refused "without the plugin the class is named" "of class 'my_package>Swish2', which is not known.*--plugin FILE.so brings" model.h5
refused "a file that is not there" "plugin ./none.so: there is no such file" model.h5 --plugin ./none.so
echo "not an object" >text.so
refused "a file that is no object" "plugin text.so: it cannot be loaded: " model.h5 --plugin text.so
echo "int nothing;" >empty.c
build empty
refused "an object that is no plugin" "empty.so: it has no symbol mb_plugin_abi" model.h5 --plugin empty.so
cat >other.c <<'END'
int mb_plugin_abi(void);
int mb_plugin_abi(void) { return 99; }
END
build other
refused "one for another version" "other.so: it was built for version 99 of the interface and this mbrun has version 1" \
    model.h5 --plugin other.so
cat >taken.c <<'END'
#include <mb/plugin.h>
static mb_status_t nothing(const mb_plugin_run_t *run) { (void)run; return MB_OK; }
static const mb_plugin_layer_t dense = {
    .size = sizeof dense, .name = "Dense", .forward = nothing, .backward_input = nothing};
MB_PLUGIN_REGISTER(host, plugin) { return host->add_layer(plugin, &dense); }
END
build taken
refused "a name that is taken" "taken.so: layer 'Dense': there is one of this name already" model.h5 --plugin taken.so
refused "a second plugin with the names of the first" "copy.so: layer 'my_package>Swish2': there is one" \
    model.h5 --plugin own.so --plugin "$(cp own.so copy.so && echo ./copy.so)"
sed 's/"d_gate"/"d_gates"/' swish2.c >broken.c && mv swish2.c kept.c && mv broken.c swish2.c && mv own.so good.so &&
    make PKG_CONFIG="$config" >"$scratch/log" 2>&1 && mv own.so broken.so && mv good.so own.so && mv kept.c swish2.c
rm -rf model.run
refused "an operation that there is not" "layer 'swish2_1' (my_package>Swish2), backward: map has no function 'd_gates': do you mean 'd_gate'?" \
    model.h5 --plugin broken.so
echo nonsense >bad.wave
refused "a file that the source refuses" "bad.wave: wanted are a number of samples" model.h5 --plugin own.so --data bad.wave
"$mbrun" eval model.h5 --plugin own.so --plugin ./own.so --data train.wave --device cpu >"$scratch/log" 2>&1
result $? "the same plugin given twice is loaded once"

if [ -e "$MB_BUILDDIR/mbcudasim.so" ]; then
    export MB_PLUGINS=$MB_BUILDDIR MB_CUDASIM_DEVICES=2
    train 2 simulated model.h5 --device cudasim --loss mse --epochs 2
    result $? "a layer composed of operations runs on a GPU"
    refused "a loss of the host does not" "loss pinball: it is computed by a function of a plugin on the host" \
        model.h5 --plugin own.so --device cudasim --epochs 1
    refused "nor a layer of functions of rows" "layer 'soft_clip' (my_package>SoftClip): it is computed by a function" \
        clipped.h5 --plugin own.so --device cudasim --loss mse --epochs 1
fi
echo "1..$count"
