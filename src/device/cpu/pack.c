/* pack.c - constants in the form a kernel wants, shared by all tasks that want the same. */
#include <string.h>

#include "base/str.h"
#include "device/cpu/cpu.h"

/* Everything that what a kernel packs may depend on. */
static uint64_t key_of(const hn_task *t, size_t bytes, uint64_t form) {
  hn_str s = {0};
  hn_node_kind_text(t->node, &s);
  hn_str_printf(&s, " %s %s %s %u %zu %llx ", hn_kernels_id, t->kernel ? t->kernel->name : "",
                t->device ? hn_bytes_name(t->device->isa, t->device->bytes) : "", t->n_packs, bytes, (unsigned long long)form);
  hn_attrs_text(t->g, t->node, &s);
  for (uint32_t i = 0; i < t->n_in; i++) {
    const hn_arg *a = &t->in[i];
    hn_str_printf(&s, " %d %d %d", a->present, (int)a->dtype, (int)a->layout);
    if (a->quant) hn_str_printf(&s, " %a %d %lld", (double)a->quant->scale, (int)a->quant->zero, (long long)a->quant->block);
    if (a->quant && a->quant->scales)
      hn_str_printf(&s, " %llx", (unsigned long long)hn_tensor_hash((hn_tensor *)(uintptr_t)a->quant->scales));
    if (a->constant)
      hn_str_printf(&s, " %llx", (unsigned long long)hn_tensor_hash((hn_tensor *)(uintptr_t)a->constant));
  }
  for (uint32_t i = 0; i < t->node->n_post; i++)
    hn_str_printf(&s, " %a %a", (double)t->node->post[i].alpha, (double)t->node->post[i].beta);
  uint64_t key = s.failed ? 0 : hn_hash(s.p, s.n, 1);
  hn_str_free(&s);
  return key;
}

hone_status hn_task_pack(hn_task *t, size_t bytes, uint64_t form, void **data, bool *fill) {
  hn_store *store = t->g ? t->g->store : NULL;
  uint64_t key = store && t->node ? key_of(t, bytes, form) : 0;
  if (t->n_packs == HN_TASK_PACKS) return HONE_UNSUPPORTED;
  bool fresh = true;
  void *p = key ? hn_store_take(store, key, bytes, &fresh) : hn_malloc_aligned(bytes);
  if (!p) return hn_nomem(t->cx);
  t->pack[t->n_packs++] = (hn_pack){p, bytes, key};
  t->packed += bytes;
  *data = p;
  *fill = fresh;
  return HONE_OK;
}

void hn_task_unpack(hn_task *t) {
  while (t->n_packs) {
    const hn_pack *p = &t->pack[--t->n_packs];
    if (p->key) hn_store_drop(t->g->store, p->data);
    else hn_free_aligned(p->data);
  }
}
