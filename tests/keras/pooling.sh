#!/bin/bash
# Pooling, padding and resampling as Keras computes them, as convolutions.sh has it.
layers=Resizing
for d in 1D 2D 3D; do
    layers="$layers MaxPooling$d AveragePooling$d GlobalMaxPooling$d GlobalAveragePooling$d"
    layers="$layers AdaptiveMaxPooling$d AdaptiveAveragePooling$d Cropping$d ZeroPadding$d UpSampling$d"
done
export MB_KERAS_LAYERS="${MB_KERAS_LAYERS-$layers}"
exec bash "$MB_SRCDIR/tests/keras/convolutions.sh"
