/* variables.h - which entry of a checkpoint a variable of the graph is restored from. */
#ifndef HN_TF_VARIABLES_H
#define HN_TF_VARIABLES_H
#include "format/tensorflow/bundle.h"
#include "format/tensorflow/tf_container.h"

typedef struct tf_variables tf_variables;

/* Reads nothing yet: the checkpoint is opened when a variable is asked for. */
hone_status hn_tf_variables_open(const tf_container *c, tf_variables **out);
void hn_tf_variables_close(tf_variables **v);
/* A tf_variable_fn. */
hone_status hn_tf_variable(void *variables, const tf_node *node, hn_tensor **out);
#endif
