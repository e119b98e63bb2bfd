/* profile_html.c - a profile as one page: report.html with the figures and the trace put in. */
#include <stdlib.h>
#include <string.h>

#include "cli_file.h"
#include "profile_report.h"

extern const char report_html[]; /* report.html, made into an array when hone is built */

/* JSON within a script element: no "</" and no "<!--" may come up in it. */
static void write_json(FILE *f, const char *text) {
  for (; *text; text++) {
    if (*text == '<') fputs("\\u003c", f);
    else fputc(*text, f);
  }
}

static json_t *report_json(const profile_report *r, const hone_profile *p) {
  json_t *j = profile_json(r), *layers = json_object_get(j, "layers");
  uint32_t from;
  for (uint32_t i = 0; i < r->n; i++) {
    json_t *a = json_array();
    for (uint32_t k = 0; hone_profile_layer_from(p, i, k, &from); k++) json_array_append_new(a, json_count(from));
    json_object_set_new(json_array_get(layers, i), "from", a);
  }
  return j;
}

int profile_write_html(const profile_report *r, const hone_profile *p, const char *path) {
  out_file out;
  char *trace = NULL, *figures = NULL;
  json_t *j = report_json(r, p);
  if (hone_profile_trace(p, &trace) != HONE_OK || !(figures = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(9)))) {
    hone_text_free(&trace);
    json_decref(j);
    return cli_fail("out of memory");
  }
  const struct { const char *mark, *text; } parts[] = {{"@REPORT@", figures}, {"@TRACE@", trace}};
  const char *rest = report_html;
  int code = out_open(&out, path);
  for (int i = 0; !code && i < 2; i++) {
    const char *at = strstr(rest, parts[i].mark);
    fwrite(rest, 1, (size_t)(at - rest), out.f);
    write_json(out.f, parts[i].text);
    rest = at + strlen(parts[i].mark);
  }
  if (!code) {
    fputs(rest, out.f);
    code = out_close(&out);
  }
  hone_text_free(&trace);
  json_decref(j);
  free(figures);
  return code;
}
