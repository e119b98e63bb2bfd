/* mixture.h - which layers are in which precision. */
#ifndef CLI_MIXTURE_H
#define CLI_MIXTURE_H
#include "judge.h"

/* The model with the layers in the precisions that `of` gives each of all its layers; NULL: as the calibration notes, else the first one. */
int mixture_quantize(judge *j, const hone_precision *of, hone_model **m);
/* That in which each row is in its own; NULL: all are in floats. */
int mixture_make(judge *j, hone_model **m);
/* The same, its kernels tuned where that is wanted. */
int mixture_tuned(judge *j, hone_model **m);
/* That in which all rows, or the one given alone, are in one precision. */
int mixture_uniform(judge *j, uint32_t kind, const account_row *alone, hone_model **m);
/* Gives each row the precision that saves most for its noise within the aim, but for those that are no faster where they are. Layers were
   quantized one by one and priced. */
int mixture_search(judge *j);
/* What each layer costs for the time it saves, from what it does alone; the order by that, dearest first. */
void mixture_price(account *a);
int mixture_dearest_first(const void *a, const void *b);
#endif
