/* device.h - what a device is: a struct of functions over its memory, its lanes and the nodes it runs. A lane does its
   work in order; different lanes of a device work at the same time. */
#ifndef HN_DEVICE_H
#define HN_DEVICE_H
#include "device/kernel.h"

enum { HN_MAX_DEVICES = 4, HN_HOST = 0, HN_DEVICE_NAME = 32 }; /* a session's devices; the first is the CPU */

typedef enum hn_lane_kind {
  HN_LANE_COMPUTE,
  HN_LANE_IN,  /* copies from the host */
  HN_LANE_OUT, /* copies to the host */
  HN_LANE_SIDE, /* steps beside those of HN_LANE_COMPUTE, on devices that have it */
  HN_LANE_KINDS
} hn_lane_kind;

typedef struct hn_device hn_device;
typedef struct hn_setting { /* of "null:speed=100,latency=5" */
  const char *key;
  const char *value;
} hn_setting;

/* One kind of device. What is NULL is as on the CPU. */
typedef struct hn_device_kind {
  const char *name, *doc;
  const char *settings;  /* the keys it knows, with their defaults: "speed=1000,latency=10"; NULL: none */
  bool side;             /* it has HN_LANE_SIDE */
  bool modelled;         /* steps and copies are done when they return, and their times are computed */
  /* The `index`-th of this kind on this machine, available or with the reason why not; false past the last. */
  bool (*describe)(uint32_t index, hone_device_info *info);
  hone_status (*open)(hone_context *cx, uint32_t index, const hn_setting *s, uint32_t n, hn_device **out);
  void (*close)(hn_device *d);
  /* memory of its own */
  hone_status (*alloc)(hn_device *d, size_t bytes, void **out);
  void (*release)(hn_device *d, void *p); /* accepts NULL */
  hone_status (*copy)(hn_device *d, hn_lane_kind lane, void *to, const void *from, size_t bytes);
  /* memory of the host from and to which copies go on while the host does other things; NULL: any */
  hone_status (*host_alloc)(hn_device *d, size_t bytes, void **out);
  void (*host_release)(hn_device *d, void *p); /* accepts NULL */
  /* its kernels, as hn_kernel_at() and hn_kernel_ref(), and the one that changes layouts */
  const hn_kernel *(*kernel_at)(uint32_t i);
  const hn_kernel *reorder;
  /* what a kernel of its own leaves of a node's epilogue: the steps from t->fused on, on output 0 where it lies. NULL: a
     kernel does all of it or is not used */
  bool (*takes_epilogue)(const hn_task *t);
  hone_status (*epilogue)(hn_exec *x);
  bool (*supports)(const hn_device *d, const hn_task *t); /* may it be asked for a kernel at all? NULL: yes */
  /* the order between lanes: after mark(), wait() makes a lane and await() the host wait until the work given to
     `lane` before is done. Events are numbered by the caller from 0. NULL: all is done when it returns */
  hone_status (*mark)(hn_device *d, hn_lane_kind lane, uint32_t event);
  hone_status (*wait)(hn_device *d, hn_lane_kind lane, uint32_t event);
  hone_status (*await)(hn_device *d, uint32_t event);
  hone_status (*timestamp)(hn_device *d, uint32_t event, double *seconds); /* of an event that is over */
  /* steps that are given once and done many times: what is given to the lanes of steps between record() and keep() is not
     done but kept, and done by each replay(), as a whole on HN_LANE_COMPUTE. keep() fails where something cannot be kept.
     NULL: not possible. `wanted`: may it be done now? */
  bool (*wanted)(const hn_device *d);
  hone_status (*record)(hn_device *d);
  hone_status (*keep)(hn_device *d, void **recording);
  hone_status (*replay)(hn_device *d, void *recording);
  void (*forget)(hn_device *d, void *recording); /* accepts NULL */
  void (*limit)(hn_device *d, uint64_t workspace); /* no kernel planned from now on takes more scratch. NULL: they take none */
  bool (*shrink)(hn_device *d); /* kernels planned from now on take less memory; false: they cannot. NULL: never */
  /* the times of a modelled device, and the guess that placement starts from on others */
  double (*step_seconds)(const hn_device *d, const hn_task *t, double flops, double bytes);
  double (*copy_seconds)(const hn_device *d, double bytes);
} hn_device_kind;

struct hn_device { /* the head of each kind's own struct */
  const hn_device_kind *kind;
  hone_context *cx;
  char name[HN_DEVICE_NAME];
};

extern const hn_device_kind hn_cpu_kind, hn_null_kind, hn_cuda_kind; /* the table, in devices.c */
const hn_device_kind *hn_device_kind_at(uint32_t i); /* NULL past the last */
/* "null", "cuda:1", "null:speed=100,latency=5". Errors: BAD_ARG (unknown kind or setting: the error lists them), DEVICE
   (it is not available: the error says why), NOMEM. */
hone_status hn_device_open(hone_context *cx, const char *spec, hn_device **out);
void hn_device_close(hn_device *d); /* accepts NULL */
/* The value of a setting, or its default, as a number. */
hone_status hn_setting_number(hone_context *cx, const hn_setting *s, uint32_t n, const char *key, double otherwise,
                              double *out);
const char *hn_setting_text(const hn_setting *s, uint32_t n, const char *key); /* NULL: not given */

/* The copy of a tensor from one device to another: its task's `from` and `on` say which; one of them is the CPU. */
extern const hn_kernel hn_transfer_kernel;
#endif
