/* driver.c - the driver that libhone looks for: it is there. */
__attribute__((visibility("default"))) int cuInit(unsigned flags);
int cuInit(unsigned flags) { return flags ? 1 : 0; }
