# Benchmarks that are programs; `make bench/reduce` builds one.
EXTRA_PROGRAMS += bench/reduce
CLEANFILES += bench/reduce$(EXEEXT)
bench_reduce_SOURCES = bench/reduce.c
bench_reduce_LDADD = libmbcheck.la

EXTRA_PROGRAMS += bench/save
CLEANFILES += bench/save$(EXEEXT)
bench_save_SOURCES = bench/save.c
bench_save_LDADD = libmbcheck.la
EXTRA_DIST += bench/latency.sh bench/lstm.sh bench/lstm_torch.py bench/pipeline_bound.py bench/predictions.py

EXTRA_PROGRAMS += bench/latency
CLEANFILES += bench/latency$(EXEEXT)
bench_latency_SOURCES = bench/latency.c
bench_latency_LDADD = libmbcheck.la $(MPI_LIBS) -ldl

EXTRA_PROGRAMS += bench/api_step
CLEANFILES += bench/api_step$(EXEEXT)
bench_api_step_SOURCES = bench/api_step.c
bench_api_step_LDADD = libmbcheck.la $(MPI_LIBS)

EXTRA_PROGRAMS += bench/writers
CLEANFILES += bench/writers$(EXEEXT)
bench_writers_SOURCES = bench/writers.c
bench_writers_LDADD = libmbcheck.la

EXTRA_PROGRAMS += bench/samples
CLEANFILES += bench/samples$(EXEEXT)
bench_samples_SOURCES = bench/samples.c
bench_samples_LDADD = libmb.la $(MPI_LIBS)
