EXTRA_DIST += doc/build.md
