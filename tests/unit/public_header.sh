#!/bin/sh
# The public headers by themselves: strict C99, C11, C++11 and C++17 programs compile with them, and the shared
# library exports what mb.h declares and nothing else.
work=$(mktemp -d "${TMPDIR:-/tmp}/mb-header.XXXXXX")
trap 'rm -rf "$work"' EXIT
count=0

report() { # RESULT NAME
    count=$((count + 1))
    echo "$1 $count - $2"
    if [ "$1" = "not ok" ]; then sed 's/^/# /' "$work/log"; fi
}

cat >"$work/user.c" <<'END'
#include <mb/mb.h>
static void each_step(void *user, const mb_trainer_t *trainer) { (void)user; (void)trainer; }
static void line(void *user, mb_level_t level, const char *text) { (void)user; (void)level; (void)text; }
mb_status_t use(MPI_Comm comm, mb_trainer_t **trainer);
mb_status_t use(MPI_Comm comm, mb_trainer_t **trainer)
{
    mb_context_t *context = 0;
    mb_status_t status = mb_context_create(comm, &context);
    if (status == MB_OK) status = mb_context_set_log(context, line, 0, MB_LEVEL_WARNING);
    if (status == MB_OK) status = mb_trainer_create(context, "model.h5", trainer);
    if (status == MB_OK) status = mb_trainer_set_callback(*trainer, each_step, 0);
    return status;
}
END
cp "$work/user.c" "$work/user.cpp"
cat >"$work/plugin.c" <<'END'
#include <mb/plugin.h>
static mb_status_t nothing(const mb_plugin_run_t *run) { (void)run; return MB_OK; }
MB_PLUGIN_REGISTER(host, plugin)
{
    static mb_plugin_layer_t layer;
    layer.size = sizeof layer;
    layer.name = "Nothing";
    layer.forward = layer.backward_input = nothing;
    return host->add_layer(plugin, &layer);
}
END
cp "$work/plugin.c" "$work/plugin.cpp"

# MPI's own header is a system header here: its warnings are not ours.
system=$(pkg-config --cflags "$MB_BUILDDIR/mb.pc" | sed 's/-I */-isystem /g')
compile() { # NAME COMPILER FLAGS... SOURCE
    name=$1
    shift
    if ! command -v "$1" >/dev/null 2>&1; then
        count=$((count + 1))
        echo "ok $count - $name # SKIP no $1"
        return
    fi
    # shellcheck disable=SC2086
    if "$@" -fsyntax-only -Wall -Wextra -Wshadow -Wconversion -pedantic -Werror \
        -I"$MB_SRCDIR/include" $system >"$work/log" 2>&1; then
        report ok "$name"
    else
        report "not ok" "$name"
    fi
}

compile "a strict C99 program compiles with gcc" gcc -std=c99 "$work/user.c"
compile "a strict C11 program compiles with gcc" gcc -std=c11 "$work/user.c"
compile "a C++11 program compiles with g++" g++ -std=c++11 "$work/user.cpp"
compile "a strict C99 plugin compiles with gcc" gcc -std=c99 "$work/plugin.c"
compile "a C++11 plugin compiles with g++" g++ -std=c++11 "$work/plugin.cpp"
compile "a strict C99 program compiles with clang" clang -std=c99 "$work/user.c"
compile "a C++11 program compiles with clang++" clang++ -std=c++11 "$work/user.cpp"
compile "a C++17 program compiles with g++" g++ -std=c++17 "$work/user.cpp"
compile "a C++17 program compiles with clang++" clang++ -std=c++17 "$work/user.cpp"
compile "a C++17 plugin compiles with g++" g++ -std=c++17 "$work/plugin.cpp"

cat >"$work/main.cpp" <<'END'
#include <mb/mb.h>
#include <cstdio>
#include <cstring>
int main()
{
    char version[64];
    std::snprintf(version, sizeof version, "%d.%d.%d", MB_VERSION_MAJOR, MB_VERSION_MINOR, MB_VERSION_PATCH);
    static_assert(MB_VERSION_AT_LEAST(0, 1, 0) && !MB_VERSION_AT_LEAST(MB_VERSION_MAJOR, MB_VERSION_MINOR + 1, 0), "");
    return std::strcmp(mb_version(), version) != 0;
}
END
name="a C++ program links with the library's own flags, runs, and finds the version that the header says"
if ! command -v g++ >/dev/null 2>&1 || [ ! -f "$MB_BUILDDIR/.libs/libmb.so" ]; then
    count=$((count + 1))
    echo "ok $count - $name # SKIP no g++, or no shared library in this build"
else
    sanitize=
    [ "${MB_SANITIZERS-no}" = no ] || sanitize=-fsanitize=address,undefined
    # shellcheck disable=SC2046,SC2086
    if g++ $sanitize -I"$MB_SRCDIR/include" -o "$work/main" "$work/main.cpp" \
        -L"$MB_BUILDDIR/.libs" $(pkg-config --cflags --libs "$MB_BUILDDIR/mb.pc") >"$work/log" 2>&1 &&
        LD_LIBRARY_PATH=$MB_BUILDDIR/.libs "$work/main" >>"$work/log" 2>&1; then
        report ok "$name"
    else
        report "not ok" "$name"
    fi
fi

name="the shared library exports what the header declares, and nothing else"
library=$MB_BUILDDIR/.libs/libmb.so
if [ ! -f "$library" ]; then
    count=$((count + 1))
    echo "ok $count - $name # SKIP no shared library in this build"
else
    nm -D --defined-only "$library" | awk '$2 ~ /[TDBRW]/ { print $3 }' | grep -v "^_" |
        LC_ALL=C sort >"$work/exported"
    if diff "$MB_BUILDDIR/libmb.sym" "$work/exported" >"$work/log" &&
        [ -s "$work/exported" ]; then
        report ok "$name"
    else
        report "not ok" "$name"
    fi
fi
echo "1..$count"
