/* sites.h - the steps of a plan as sites of a profile. */
#ifndef HN_SITES_H
#define HN_SITES_H
#include "plan/plan.h"
#include "run/profile.h"

/* One site a step, in order, from *first on. Texts are copied: the plan may go before the profile. */
hone_status hn_sites_add(hone_profile *p, const hn_plan *plan, uint32_t *first);
uint64_t hn_step_bytes(const hn_task *t); /* read and written by a step, as far as its shapes are known */
#endif
