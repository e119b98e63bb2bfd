/* sample.cu - images read at places between pixels: Resize, GridSample, RoiAlign, MaxRoiPool. Places are computed in double, as the
   references do, so that roundings fall the same way; values in float. */
#include "device/cuda/scalar.cuh"

static __global__ void __launch_bounds__(HN_GPU_BLOCK) resize(const __grid_constant__ hn_gpu_resize r) {
  HN_GRID_LOOP(i, r.n) {
    uint32_t rest = i, base = 0, o0 = 0, o1 = 0, o2 = 0;
    bool outside = false;
    for (int d = r.rank - 1; d >= 0; d--) {
      uint32_t k = hn_peel(&rest, r.dim[d]);
      int a = r.axis[d];
      if (a < 0) {
        base += k * r.stride[d];
        continue;
      }
      if (a == 0) o0 = k;
      else if (a == 1) o1 = k;
      else o2 = k;
      outside = outside || (r.taps[a].outside && r.taps[a].outside[k]);
    }
    float sum = 0;
    const hn_gpu_taps &t0 = r.taps[0], &t1 = r.taps[1], &t2 = r.taps[2];
    for (int a = 0; a < t0.n; a++) {
      float wa = t0.weight[o0 * t0.n + a], sa = 0;
      if (wa == 0) continue;
      uint32_t pa = base + t0.at[o0 * t0.n + a] * t0.stride;
      for (int b = 0; b < t1.n; b++) {
        float wb = t1.weight[o1 * t1.n + b], sb = 0;
        if (wb == 0) continue;
        uint32_t pb = pa + t1.at[o1 * t1.n + b] * t1.stride;
        for (int c = 0; c < t2.n; c++) {
          float wc = t2.weight[o2 * t2.n + c];
          if (wc != 0) sb += wc * hn_get_float(r.dtype, r.in, pb + t2.at[o2 * t2.n + c] * t2.stride);
        }
        sa += wb * sb;
      }
      sum += wa * sa;
    }
    hn_put_float(r.dtype, r.out, i, outside ? r.extrapolated : sum);
  }
}

void hn_gpu_resize_run(cudaStream_t s, const hn_gpu_resize *r) {
  if (r->n) HN_LAUNCH(resize, hn_gpu_blocks(r->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *r);
}

/* ---- GridSample */

enum { ZEROS, EDGE, REFLECTION };

static __device__ double reflect(double x, double lo, double hi) {
  double range = hi - lo;
  if (range <= 0 || !(fabs(x) < 1e300)) return lo;
  double t = fmod(fabs(x - lo), 2 * range);
  return lo + (t > range ? 2 * range - t : t);
}

static __device__ __forceinline__ double settle(const hn_gpu_grid &g, double x, int size) {
  if (g.border == ZEROS) return x;
  if (g.border == REFLECTION) x = g.corners ? reflect(x, 0, size - 1) : reflect(x, -0.5, size - 0.5);
  return x < 0 ? 0 : x > size - 1 ? size - 1 : x;
}

static __device__ __forceinline__ float cubic(float d) {
  const float a = -0.75f;
  d = fabsf(d);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/* Tap t of an axis: its index, or -1 for a zero outside, and its weight. */
static __device__ __forceinline__ int grid_tap(const hn_gpu_grid &g, double x, int size, int t, float *w) {
  bool whole = g.taps != 4; /* cubic settles each tap, the others the coordinate */
  if (whole) x = settle(g, x, size);
  double p = (g.taps == 1 ? rint(x) : floor(x) - (g.taps == 4)) + t;
  *w = g.taps == 1 ? 1.0f : g.taps == 2 ? 1 - fabsf(static_cast<float>(p - x)) : cubic(static_cast<float>(p - x));
  if (!whole) p = settle(g, p, size);
  return p >= 0 && p <= size - 1 ? static_cast<int>(p) : -1;
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) grid_sample(const __grid_constant__ hn_gpu_grid g) {
  HN_GRID_LOOP(i, g.n) {
    uint32_t plane = i, point = hn_peel(&plane, g.points), image = hn_quotient(plane, g.channels);
    double at[HN_GPU_SPATIAL] = {0, 0, 0};
    HN_UNROLL for (int d = 0; d < HN_GPU_SPATIAL; d++) {
      int e = d - (HN_GPU_SPATIAL - g.spatial);
      if (e < 0) continue;
      double v = hn_get_float(g.dtype, g.grid, (image * g.points.d + point) * g.spatial + (g.spatial - 1 - e)), size = g.size[d];
      v = g.corners ? (v + 1) / 2 * (size - 1) : ((v + 1) * size - 1) / 2;
      at[d] = fabs(v) < 1e15 ? v : -1e15;
    }
    uint32_t base = plane * static_cast<uint32_t>(g.size[0] * g.size[1] * g.size[2]);
    float sum = 0, wz = 1, wy, wx;
    for (int a = 0; a < (g.spatial > 2 ? g.taps : 1); a++) {
      int z = g.spatial > 2 ? grid_tap(g, at[0], g.size[0], a, &wz) : 0;
      for (int b = 0; b < (g.spatial > 1 ? g.taps : 1); b++) {
        int y = 0;
        wy = 1;
        if (g.spatial > 1) y = grid_tap(g, at[1], g.size[1], b, &wy);
        for (int c = 0; c < g.taps; c++) {
          int x = grid_tap(g, at[2], g.size[2], c, &wx);
          float w = wz * wy * wx;
          if (z < 0 || y < 0 || x < 0 || w == 0) continue;
          sum += w * hn_get_float(g.dtype, g.in, base + static_cast<uint32_t>((z * g.size[1] + y) * g.size[2] + x));
        }
      }
    }
    hn_put_float(g.dtype, g.out, i, sum);
  }
}

void hn_gpu_grid_run(cudaStream_t s, const hn_gpu_grid *g) {
  if (g->n) HN_LAUNCH(grid_sample, hn_gpu_blocks(g->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *g);
}

/* ---- RoiAlign, MaxRoiPool */

static __device__ __forceinline__ float at_pixel(const hn_gpu_regions &r, uint32_t base, int y, int x) {
  return hn_get_float(r.dtype, r.in, base + static_cast<uint32_t>(y * r.width + x));
}

/* Bilinear value; outside by more than a pixel it is 0. max: the largest weighted corner instead. */
static __device__ __forceinline__ float bilinear(const hn_gpu_regions &r, uint32_t base, double y, double x) {
  int h = r.height, w = r.width;
  if (y < -1 || y > h || x < -1 || x > w) return 0;
  y = y < 0 ? 0 : y > h - 1 ? h - 1 : y;
  x = x < 0 ? 0 : x > w - 1 ? w - 1 : x;
  int y0 = static_cast<int>(y), x0 = static_cast<int>(x), y1 = y0 + 1 < h ? y0 + 1 : y0, x1 = x0 + 1 < w ? x0 + 1 : x0;
  float fy = static_cast<float>(y - y0), fx = static_cast<float>(x - x0);
  float p0 = (1 - fy) * (1 - fx) * at_pixel(r, base, y0, x0), p1 = (1 - fy) * fx * at_pixel(r, base, y0, x1);
  float p2 = fy * (1 - fx) * at_pixel(r, base, y1, x0), p3 = fy * fx * at_pixel(r, base, y1, x1);
  return r.max ? fmaxf(fmaxf(p0, p1), fmaxf(p2, p3)) : p0 + p1 + p2 + p3;
}

static __device__ __forceinline__ double region_number(const hn_gpu_regions &r, uint32_t i) { return hn_get_float(r.dtype, r.regions, i); }

static __device__ float align_bin(const hn_gpu_regions &r, uint32_t base, uint32_t k, int i, int j, bool *bad) {
  double shift = r.half ? 0.5 : 0, x0 = region_number(r, 4 * k) * r.scale - shift, y0 = region_number(r, 4 * k + 1) * r.scale - shift;
  double w = region_number(r, 4 * k + 2) * r.scale - shift - x0, h = region_number(r, 4 * k + 3) * r.scale - shift - y0;
  if (!r.half) w = fmax(w, 1.0), h = fmax(h, 1.0);
  if (!(fabs(h) < 1e6 && fabs(w) < 1e6)) {
    *bad = true;
    return 0;
  }
  double bh = h / r.pooled_h.d, bw = w / r.pooled_w.d;
  int gh = r.ratio ? r.ratio : static_cast<int>(ceil(bh)), gw = r.ratio ? r.ratio : static_cast<int>(ceil(bw));
  float sum = 0, best = -INFINITY;
  for (int a = 0; a < gh; a++)
    for (int b = 0; b < gw; b++) {
      float v = bilinear(r, base, y0 + (i + (a + 0.5) / gh) * bh, x0 + (j + (b + 0.5) / gw) * bw);
      sum += v;
      best = v > best ? v : best;
    }
  if (gh * gw == 0) return 0;
  return r.max ? best : sum / static_cast<float>(gh * gw);
}

static __device__ float pool_bin(const hn_gpu_regions &r, uint32_t base, uint32_t k, int i, int j, bool *bad) {
  double v[4];
  for (int e = 0; e < 4; e++) {
    v[e] = round(region_number(r, 5 * k + 1 + e) * r.scale);
    *bad = *bad || !(fabs(v[e]) < 1e9);
  }
  if (*bad) return 0;
  double w = fmax(v[2] - v[0] + 1, 1.0) / r.pooled_w.d, h = fmax(v[3] - v[1] + 1, 1.0) / r.pooled_h.d;
  int y0 = static_cast<int>(floor(i * h) + v[1]), y1 = static_cast<int>(ceil((i + 1) * h) + v[1]), x0 = static_cast<int>(floor(j * w) + v[0]), x1 = static_cast<int>(ceil((j + 1) * w) + v[0]);
  float best = -INFINITY;
  for (int y = max(y0, 0); y < min(y1, r.height); y++)
    for (int x = max(x0, 0); x < min(x1, r.width); x++) best = fmaxf(best, at_pixel(r, base, y, x));
  return best == -INFINITY ? 0 : best;
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) regions(const __grid_constant__ hn_gpu_regions r) {
  HN_GRID_LOOP(u, r.n) {
    uint32_t k = u, j = hn_peel(&k, r.pooled_w), i = hn_peel(&k, r.pooled_h), c = hn_peel(&k, r.channels);
    double image = r.whole ? region_number(r, 5 * k) : static_cast<double>(hn_get_int(r.image_dtype, r.images, k));
    bool bad = !(image >= 0 && image < r.limit);
    float v = 0;
    if (!bad) {
      uint32_t base = (static_cast<uint32_t>(image) * r.channels.d + c) * static_cast<uint32_t>(r.height * r.width);
      v = r.whole ? pool_bin(r, base, k, static_cast<int>(i), static_cast<int>(j), &bad) : align_bin(r, base, k, static_cast<int>(i), static_cast<int>(j), &bad);
    }
    if (bad) *static_cast<volatile unsigned long long *>(r.fault.word) = r.fault.who;
    hn_put_float(r.dtype, r.out, u, v);
  }
}

void hn_gpu_regions_run(cudaStream_t s, const hn_gpu_regions *r) {
  if (r->n) HN_LAUNCH(regions, hn_gpu_blocks(r->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *r);
}
