EXTRA_DIST += doc/architecture.md doc/build.md doc/library.md
