#!/bin/sh
# Inputs that fuzzing found, and seeds: none may crash a parser, or make it take memory or time without end.
[ "$MB_SANITIZERS" = yes ] || ulimit -v 4000000
ASAN_OPTIONS="$ASAN_OPTIONS:max_allocation_size_mb=1024:allocator_may_return_null=1"
export ASAN_OPTIONS
exec "$MB_BUILDDIR/tests/fuzz/replay" "$MB_SRCDIR/tests/fuzz/corpus"
