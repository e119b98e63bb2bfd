/* dead.c - removes what nobody reads. */
#include "pass/pass.h"

static hone_status remove_dead(hn_pass *p, hn_graph *g) {
  return hn_pass_note(p, "unused", "no graph output depends on the layer", hn_remove_dead(g), true);
}

hone_status hn_pass_dead(hn_pass *p, hn_graph *g);
hone_status hn_pass_dead(hn_pass *p, hn_graph *g) {
  HN_TRY(remove_dead(p, g)); /* first the outside: whole nested graphs may go */
  return hn_pass_each_graph(p, g, remove_dead);
}
