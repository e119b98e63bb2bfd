/* mixture.h - which layers are in 8 bits and which in floats. */
#ifndef CLI_MIXTURE_H
#define CLI_MIXTURE_H
#include "judge.h"

/* The model with the layers quantized that `keep`, by layer, does not name. */
int mixture_quantize(judge *j, const bool *keep, hone_model **m);
/* That in which the rows marked so stay in floats; NULL: all do. */
int mixture_make(judge *j, hone_model **m);
/* Marks the rows that have to stay in floats for the aim, and those that are no faster in 8 bits where they are. Layers were
   quantized one by one and priced; leaves the dearest first. */
int mixture_search(judge *j);
/* What each layer costs for the time it saves, from what it does alone; the order by that, dearest first. */
void mixture_price(account *a);
int mixture_dearest_first(const void *a, const void *b);
#endif
