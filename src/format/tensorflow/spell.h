/* spell.h - the spellings that tf_spell.def names. */
#ifndef HN_TF_SPELL_H
#define HN_TF_SPELL_H
#include "format/tensorflow/tf_graph.h"

#define SPELL(Op, spelling, tf_op) void tg_spell_##spelling(tg *t, const hn_node *n, const char *op);
#include "format/tensorflow/tf_spell.def"
#undef SPELL
#endif
