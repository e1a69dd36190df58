EXTRA_DIST += doc/insitu.md doc/shallow_water.png doc/autoencoder.png
dist_doc_DATA = doc/keras.md
EXTRA_DIST += doc/agreement.md doc/architecture.md doc/benchmarks.md doc/build.md doc/data.md doc/faults.md doc/filesystems.md doc/gpu.md doc/library.md doc/losses.md doc/models.md doc/performance.md doc/planning.md doc/plugins.md doc/quantization.md doc/reliability.md doc/schedules.md doc/validation.md
EXTRA_DIST += doc/agreement.md doc/architecture.md doc/benchmarks.md doc/binding.md doc/build.md doc/data.md doc/faults.md doc/filesystems.md doc/gpu.md doc/library.md doc/losses.md doc/models.md doc/planning.md doc/plugins.md doc/quantization.md doc/reliability.md doc/schedules.md doc/validation.md
EXTRA_DIST += doc/agreement.md doc/architecture.md doc/benchmarks.md doc/build.md doc/clusters.md doc/data.md doc/faults.md doc/filesystems.md doc/gpu.md doc/library.md doc/losses.md doc/models.md doc/performance.md doc/planning.md doc/plugins.md doc/quantization.md doc/schedules.md doc/validation.md
EXTRA_DIST += doc/agreement.md doc/architecture.md doc/benchmarks.md doc/binding.md doc/build.md doc/data.md doc/faults.md doc/filesystems.md doc/gpu.md doc/library.md doc/losses.md doc/models.md doc/planning.md doc/plugins.md doc/quantization.md doc/schedules.md doc/validation.md
EXTRA_DIST += SECURITY.md doc/reliability.md
EXTRA_DIST += doc/packaging.md
