/* cpu.h - the CPU device: what its kernels share, and changes of layout. */
#ifndef HN_CPU_H
#define HN_CPU_H
#include "device/kernel.h"

/* Engine, stream and whatever kernels of one session share; reaches them as hn_task.device. */
hone_status hn_cpu_device_create(hone_context *cx, int threads, void **out);
void hn_cpu_device_destroy(void *device); /* accepts NULL */

/* The kernel that changes a layout. Its task has one input and one output of the same dtype and dims, whose
   `layout` fields say from and to; plan() makes it, UNSUPPORTED if there is no such conversion. node is NULL. */
extern const hn_kernel hn_reorder_kernel;

/* Applies the node's epilogue to output 0 in place, with the reference arithmetic (ref/epilogue_ref.c). */
hone_status hn_apply_epilogue_ref(hn_exec *x);
#endif
