/* See draw.h. Colours tell kinds apart in grey, too. */
#include "pipeline/draw.h"

#include "base/str.h"

enum { WIDTH = 1600, LEFT = 80, ROW = 34, BOX = 28, TOP = 70, FONT = 12, LEAST_FOR_TEXT = 12 };

typedef struct {
    mb_action_kind_t kind;
    const char *name, *colour;
} look_t;

static const look_t looks[] = {{MB_ACTION_F, "forward", "#9ecae1"},
                               {MB_ACTION_BW, "backward", "#fdae6b"},
                               {MB_ACTION_B, "gradients of inputs", "#fdd0a2"},
                               {MB_ACTION_W, "gradients of weights", "#a1d99b"},
                               {MB_ACTION_R, "forward again", "#d9d9d9"}};
enum { N_LOOKS = sizeof(looks) / sizeof(looks[0]) };

typedef struct {
    const mb_schedule_t *schedule;
    const mb_chunk_cost_t *costs;
    const mb_schedule_times_t *times;
    double scale; /* of a unit of time */
    bool seen[N_LOOKS];
    mb_str_t text;
} drawing_t;

static int look_of(mb_action_kind_t kind)
{
    int i = 0;
    while (i + 1 < N_LOOKS && looks[i].kind != kind)
        i++;
    return i;
}

/* &, < and what else XML takes for its own. */
static void add_escaped(mb_str_t *text, const char *plain)
{
    for (; *plain != '\0'; plain++) {
        if (*plain == '&' || *plain == '<' || *plain == '>' || *plain == '"')
            mb_str_addf(text, "&#%d;", *plain);
        else
            mb_str_addf(text, "%c", *plain);
    }
}

static int chunk_in_stage(const mb_schedule_t *schedule, int chunk)
{
    int n = 0;
    for (int c = schedule->first_chunk[schedule->stage_of[chunk]]; c != chunk;
         c = schedule->next_chunk[c])
        n++;
    return n;
}

static void add_box(drawing_t *d, int stage, int i)
{
    const mb_action_t *action = &d->schedule->programs[stage].actions[i];
    double seconds = mb_action_seconds(&d->costs[action->chunk], action->kind);
    double x = LEFT + d->times->begin[stage][i] * d->scale, width = seconds * d->scale;
    int look = look_of(action->kind), y = TOP + stage * ROW;
    double shade = 0.22 * chunk_in_stage(d->schedule, action->chunk);
    d->seen[look] = true;
    mb_str_addf(&d->text,
                "<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" fill=\"%s\" "
                "stroke=\"#555\" stroke-width=\"0.5\"/>\n",
                x, y, width, BOX, looks[look].colour);
    if (shade > 0)
        mb_str_addf(&d->text,
                    "<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" fill=\"#000\" "
                    "fill-opacity=\"%.2f\"/>\n",
                    x, y, width, BOX, shade > 0.6 ? 0.6 : shade);
    if (width >= LEAST_FOR_TEXT)
        mb_str_addf(&d->text, "<text x=\"%.2f\" y=\"%d\" text-anchor=\"middle\">%d</text>\n",
                    x + width / 2, y + BOX / 2 + FONT / 3, action->micro);
}

static void add_legend(drawing_t *d)
{
    int x = LEFT;
    for (int i = 0; i < N_LOOKS; i++) {
        if (!d->seen[i])
            continue;
        mb_str_addf(&d->text,
                    "<rect x=\"%d\" y=\"40\" width=\"16\" height=\"14\" fill=\"%s\" "
                    "stroke=\"#555\" stroke-width=\"0.5\"/>\n<text x=\"%d\" y=\"52\">%s</text>\n",
                    x, looks[i].colour, x + 22, looks[i].name);
        x += 200;
    }
    if (d->schedule->chunks > d->schedule->stages)
        mb_str_addf(&d->text, "<text x=\"%d\" y=\"52\">darker: a later chunk</text>\n", x);
}

static void add_head(drawing_t *d, const char *title)
{
    int height = TOP + d->schedule->stages * ROW + 10;
    mb_str_addf(&d->text,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"%d\">\n"
                "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n"
                "<text x=\"%d\" y=\"24\" font-size=\"16\">",
                WIDTH, height, WIDTH, height, FONT, WIDTH, height, LEFT);
    add_escaped(&d->text, title);
    mb_str_add(&d->text, "</text>\n");
}

char *mb_schedule_draw(const mb_schedule_t *schedule, const mb_chunk_cost_t *costs,
                       const mb_schedule_times_t *times, const char *title)
{
    drawing_t d = {.schedule = schedule, .costs = costs, .times = times};
    d.scale = times->end > 0 ? (WIDTH - LEFT - 20) / times->end : 0;
    add_head(&d, title);
    for (int s = 0; s < schedule->stages; s++) {
        mb_str_addf(&d.text, "<text x=\"10\" y=\"%d\">stage %d</text>\n",
                    TOP + s * ROW + BOX / 2 + FONT / 3, s);
        for (int i = 0; i < schedule->programs[s].n; i++)
            add_box(&d, s, i);
    }
    add_legend(&d);
    mb_str_add(&d.text, "</svg>\n");
    if (d.text.failed) {
        mb_str_free(&d.text);
        return NULL;
    }
    return d.text.text;
}
