/* tf_saved.h - a SavedModel as a whole: all its MetaGraphs with all their signatures. What hone takes of each graph are
   segments (tf_segments.h), graphs of their own to be optimized; what it leaves is written again as it was, with the
   checkpoint and the assets where that has state. */
#ifndef HN_TF_SAVED_H
#define HN_TF_SAVED_H
#include "format/probe.h"

typedef struct hn_tf_saved hn_tf_saved;

/* tag_set NULL: all MetaGraphs. minimum: nodes of a segment. Errors: IO, BAD_FORMAT, BAD_ARG (no such tag set; no
   SavedModel), BAD_GRAPH, NOMEM. */
hone_status hn_tf_saved_open(hone_context *cx, const hn_source *s, const char *tag_set, uint32_t minimum, hn_tf_saved **out);
void hn_tf_saved_close(hn_tf_saved **s);

/* The graph of the i-th segment, of all MetaGraphs, becomes the caller's; NULL past the end. */
hn_graph *hn_tf_saved_take(hn_tf_saved *s, uint32_t i, hone_segment_info *info);
/* The i-th node that is left for a reason; false past the end. */
bool hn_tf_saved_left(const hn_tf_saved *s, uint32_t i, hone_left_node *row);
/* Is it one MetaGraph with one signature and nothing left of it but its inputs? */
bool hn_tf_saved_is_plain(const hn_tf_saved *s);

/* Writes the folder; graphs: what became of the segments, by their numbers. IO, UNSUPPORTED, NOMEM. */
hone_status hn_tf_saved_write(hn_tf_saved *s, const hn_graph *const *graphs, const char *path);
#endif
