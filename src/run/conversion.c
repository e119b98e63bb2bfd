/* conversion.c - a SavedModel taken over in segments, each a model. */
#include <string.h>

#include "format/tensorflow/tf_reader.h"
#include "format/tensorflow/tf_saved.h"
#include "run/model.h"
#include "run/options.h"

struct hone_conversion {
  hone_context *cx;
  hn_tf_saved *saved;
  HN_VEC(hone_model *) models;
  HN_VEC(hone_segment_info) infos;
};

void hone_conversion_options_init(hone_conversion_options *options) {
  *options = (hone_conversion_options){.size = sizeof *options, .minimum_segment_size = 1};
}

static hone_status take_segments(hone_conversion *c) {
  hone_segment_info info;
  for (hn_graph *g; (g = hn_tf_saved_take(c->saved, (uint32_t)c->models.n, &info));) {
    hone_model *m;
    HN_TRY(hn_model_wrap(c->cx, g, &m));
    if (!hn_push(&c->models, m)) {
      hone_model_destroy(&m);
      return hn_nomem(c->cx);
    }
    if (!hn_push(&c->infos, info)) return hn_nomem(c->cx);
  }
  return HONE_OK;
}

hone_status hone_conversion_open(hone_context *cx, const char *path, const hone_conversion_options *given, hone_conversion **out) {
  hone_conversion_options o;
  HN_TRY(HN_OPTIONS(cx, hone_conversion_options, given, &o));
  if (o.minimum_segment_size < 1) return hn_fail(cx, HONE_BAD_ARG, "a minimum segment size of %d; 1 is the least", o.minimum_segment_size);
  hone_load_options none;
  hone_load_options_init(&none);
  hn_source s = {.path = path, .directory = hn_is_directory(path), .options = &none};
  hone_conversion *c = hn_calloc(1, sizeof *c);
  if (!c) return hn_nomem(cx);
  c->cx = cx;
  hone_status st = HONE_OK;
  if (!s.directory) {
    st = hn_map_file(cx, path, &s.m);
    s.data = st ? NULL : hn_mapping_data(s.m);
    s.size = st ? 0 : hn_mapping_size(s.m);
  }
  if (!st && !hn_tf_probe(&s)) st = hn_fail(cx, HONE_BAD_ARG, "%s: it is not a SavedModel", path);
  if (!st) st = hn_tf_saved_open(cx, &s, o.tag_set, (uint32_t)o.minimum_segment_size, &c->saved);
  hn_mapping_unref(s.m);
  if (!st) st = take_segments(c);
  if (st) hone_conversion_destroy(&c);
  else *out = c;
  return st;
}

void hone_conversion_destroy(hone_conversion **pc) {
  hone_conversion *c = pc ? *pc : NULL;
  if (!c) return;
  for (size_t i = 0; i < c->models.n; i++) hone_model_destroy(&c->models.p[i]);
  hn_vec_free(&c->models);
  hn_vec_free(&c->infos);
  hn_tf_saved_close(&c->saved);
  hn_free(c);
  *pc = NULL;
}

bool hone_conversion_is_plain(const hone_conversion *c) { return hn_tf_saved_is_plain(c->saved); }
uint32_t hone_conversion_segment_count(const hone_conversion *c) { return (uint32_t)c->models.n; }

hone_model *hone_conversion_segment(hone_conversion *c, uint32_t index, hone_segment_info *info) {
  if (index >= c->models.n) return NULL;
  if (info) *info = c->infos.p[index];
  return c->models.p[index];
}

bool hone_conversion_left_at(const hone_conversion *c, uint32_t index, hone_left_node *row) { return hn_tf_saved_left(c->saved, index, row); }

hone_status hone_conversion_save(hone_conversion *c, const char *path) {
  hn_graph **graphs = hn_calloc(c->models.n + 1, sizeof *graphs);
  hone_status st = graphs ? HONE_OK : hn_nomem(c->cx);
  for (size_t i = 0; i < c->models.n && !st; i++) st = hn_open_weights(c->models.p[i]->g, &graphs[i]);
  if (!st) st = hn_tf_saved_write(c->saved, (const hn_graph **)graphs, path);
  for (size_t i = 0; i < c->models.n && graphs; i++) hn_graph_destroy(graphs[i]);
  hn_free(graphs);
  return st;
}
