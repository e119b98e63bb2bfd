/* place.h - which device each node runs on: by rules on names, and by the choice of the least time. */
#ifndef HN_PLACE_H
#define HN_PLACE_H
#include "base/str.h"
#include "device/device.h"

typedef struct hn_place hn_place;
/* devices: specifications with ";" between; rules: "REGEX=DEVICE" or "auto". Errors: BAD_ARG, DEVICE, NOMEM. */
hone_status hn_place_create(hone_context *cx, const char *devices, const char *const *rules, uint32_t n_rules, hn_place **out);
void hn_place_destroy(hn_place *p); /* accepts NULL */
/* BAD_ARG if a rule matches no node of g: the error has the nearest names. */
hone_status hn_place_check(const hn_place *p, const hn_graph *g);

/* The devices, the CPU first as NULL; how many. */
uint32_t hn_place_devices(const hn_place *p, hn_device **devices);
/* What they are, with their settings and versions: times are of these. */
void hn_place_describe(const hn_place *p, hn_str *out);
bool hn_place_automatic(const hn_place *p);
/* Sets what auto has chosen, by node id; copied. NULL: everything to the first device again. */
hone_status hn_place_choose(hn_place *p, const uint8_t *of_node, uint32_t n);
/* The device of each node of g by choice and rules: by rules where one matches. */
void hn_place_nodes(const hn_place *p, const hn_graph *g, uint8_t *of_node);
bool hn_place_rule_for(const hn_place *p, const hn_node *n, uint8_t *device);
#endif
