/* session.h - what the rest of run/ sees of a session. */
#ifndef HN_SESSION_H
#define HN_SESSION_H
#include "run/program.h"

/* The program of the last run; NULL: there was none, or its tensors were not kept. */
const hn_program *hn_session_kept(const hone_session *s);
#endif
