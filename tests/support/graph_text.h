/* A graph as text, for comparison with what is expected. */
#ifndef MB_TESTS_GRAPH_TEXT_H
#define MB_TESTS_GRAPH_TEXT_H

#include "base/str.h"
#include "model/graph.h"

/* Nodes with their shapes, parameters in order, the file's layout. For a graph that is bound. */
void graph_text(const mb_graph_t *graph, mb_str_t *out);

/* JSON with ' for ", as the configs in the tests are written. Free it. */
char *json_quoted(const char *text);

/* The contents of tests/data/<name>, zero-terminated; NULL if there is none. Free it. */
char *test_data_read(const char *name);

#endif
