/* The replica tree: which subtrees a run of replicas finishes, and how the finished ones combine.
 *
 * A node at the ragged end may have only a left child, which passes up unchanged; a root is named
 * by the lowest node that covers its replicas. */
#include "comm/tree.h"

#include <assert.h>
#include <stdint.h>

static int64_t node_first(mb_tree_node_t node)
{
    return (int64_t)node.index << node.level;
}

static int64_t node_end(int replicas, mb_tree_node_t node)
{
    int64_t end = ((int64_t)node.index + 1) << node.level;
    return end < replicas ? end : replicas;
}

static mb_tree_node_t lowest(int replicas, mb_tree_node_t node)
{
    while (node.level > 0) {
        mb_tree_node_t left = {node.level - 1, node.index * 2};
        if (node_end(replicas, left) != node_end(replicas, node))
            break;
        node = left;
    }
    return node;
}

int mb_tree_roots(int replicas, int first, int count, mb_tree_node_t roots[MB_TREE_MAX_ROOTS])
{
    int n = 0, end = first + count;
    while (first < end) {
        mb_tree_node_t node = {0, first};
        while (node.index % 2 == 0 && node_end(replicas, node) < replicas) {
            mb_tree_node_t parent = {node.level + 1, node.index / 2};
            if (node_end(replicas, parent) > end)
                break;
            node = parent;
        }
        first = (int)node_end(replicas, node);
        roots[n++] = lowest(replicas, node);
    }
    return n;
}

void mb_tree_stack_start(mb_tree_stack_t *stack, int replicas, int first, int count)
{
    *stack = (mb_tree_stack_t){.replicas = replicas, .first = first, .count = count};
}

/* The next replica is where the last finished subtree ends. */
static int next_replica(const mb_tree_stack_t *stack)
{
    if (stack->depth == 0)
        return stack->first;
    return (int)node_end(stack->replicas, stack->nodes[stack->depth - 1]);
}

/* Whether the subtree below the top is NODE's left sibling; lifts NODE over levels where it has
 * none on its right. */
static bool find_left(const mb_tree_stack_t *stack, mb_tree_node_t *node)
{
    while (node->index % 2 == 0) {
        if (node->index == 0 || node_end(stack->replicas, *node) < stack->replicas)
            return false;
        *node = (mb_tree_node_t){node->level + 1, node->index / 2};
    }
    if (stack->depth == 0)
        return false;
    mb_tree_node_t below = stack->nodes[stack->depth - 1];
    return below.level == node->level && below.index == node->index - 1;
}

int mb_tree_push(mb_tree_stack_t *stack)
{
    int merges = 0;
    mb_tree_node_t node = {0, next_replica(stack)};
    while (find_left(stack, &node)) {
        stack->depth--;
        node = (mb_tree_node_t){node.level + 1, node.index / 2};
        merges++;
    }
    stack->nodes[stack->depth++] = lowest(stack->replicas, node);
    return merges;
}

int mb_tree_slots(int replicas, int first, int count)
{
    int most = 0;
    mb_tree_stack_t stack;
    mb_tree_stack_start(&stack, replicas, first, count);
    for (int i = 0; i < count; i++) {
        if (stack.depth + 1 > most)
            most = stack.depth + 1;
        mb_tree_push(&stack);
    }
    return most;
}

typedef struct {
    int replicas, n_roots, n_merges;
    const mb_tree_node_t *roots;
    int *into, *from;
} combine_t;

/* The root that begins with replica FIRST, or the one behind. */
static int root_from(const combine_t *c, int64_t first)
{
    int low = 0, high = c->n_roots - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (node_first(c->roots[middle]) < first)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The root that NODE's sum ends in. */
static int combine(combine_t *c, mb_tree_node_t node)
{
    int root = root_from(c, node_first(node));
    if (node_first(c->roots[root]) == node_first(node) &&
        node_end(c->replicas, c->roots[root]) == node_end(c->replicas, node))
        return root;
    assert(node.level > 0 && "the roots cover every replica");
    mb_tree_node_t left = {node.level - 1, node.index * 2};
    mb_tree_node_t right = {node.level - 1, node.index * 2 + 1};
    int sum = combine(c, left);
    if (node_first(right) >= c->replicas)
        return sum;
    int other = combine(c, right);
    c->into[c->n_merges] = sum;
    c->from[c->n_merges++] = other;
    return sum;
}

int mb_tree_combine(int replicas, const mb_tree_node_t *roots, int n, int *into, int *from)
{
    mb_tree_node_t whole = {0, 0};
    while (node_end(replicas, whole) < replicas)
        whole.level++;
    combine_t c = {replicas, n, 0, roots, into, from};
    combine(&c, whole);
    return c.n_merges;
}
